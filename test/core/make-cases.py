"""Makes fnmatch-cases.json and filter-cases.json: what Python and huggingface_hub say about patterns.

    pip install huggingface_hub
    python make-cases.py && npx biome format --write .

Seeded, so that a second run writes the same files. The interop tests call it with other seeds.
"""

import json
import random
import re
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub.utils import filter_repo_objects

HERE = Path(__file__).parent


def written(name, cases):
    # One case a line: a change shows in a diff.
    text = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    (HERE / name).write_text(f"[\n{text}\n]\n")


# [pattern, text] by hand: each is one rule or one of its corners. No backslash and no slash at the end, which
# the Hub client changes before it asks fnmatch; filter-cases.json has those.
by_hand = [
    ("", ""), ("", "a"), ("a", "a"), ("a", "A"), ("A", "a"), ("a", "aa"), ("aa", "a"),
    ("*", ""), ("*", "a/b/c"), ("**", "a/b"), ("a*", "a"), ("*a", "ba"), ("*a", "ab"), ("a*b*c", "a/b/c"),
    ("*.json", "data/sub/x.json"), ("data/*.json", "data/sub/x.json"), ("data/**/*.json", "data/x.json"),
    ("data/**/*.json", "data/a/b/x.json"), ("**/x", "x"), ("**/x", "a/x"), ("*.json", ".json"), (".*", ".gitignore"),
    ("?", ""), ("?", "a"), ("?", "/"), ("?", "\n"), ("?", "\U0001f600"), ("??", "\U0001f600"), ("a?c", "a/c"),
    ("*", "line\nbreak"), ("a", "a\n"), ("a*", "a\n"), ("[ab]", "a"), ("[ab]", "c"), ("[!ab]", "c"), ("[!ab]", "a"),
    ("[^ab]", "^"), ("[^ab]", "c"), ("[a-c]x", "bx"), ("[a-c]", "d"), ("[c-a]", "b"), ("[!c-a]", "b"), ("[c-a]", "-"),
    ("[a-]", "-"), ("[a-]", "a"), ("[-a]", "-"), ("[!-a]", "-"), ("[!-a]", "b"), ("[a-c-e]", "-"), ("[a-c-e]", "d"),
    ("[a-c-e]", "e"), ("[--0]", "."), ("[]", "[]"), ("[]a]", "]"), ("[]a]", "a"), ("[!]", "[!]"), ("[!]a]", "b"),
    ("[!]a]", "]"), ("[]-a]", "^"), ("[]-a]", "]"), ("[", "["), ("[a", "[a"), ("a[", "a["), ("[!", "[!"), ("[]", ""),
    ("[[]", "["), ("[[]", "]"), ("[[a]]", "a]"), ("[a&&b]", "&"), ("[a||b]", "|"), ("[a~~b]", "~"), ("[/]", "/"),
    ("[!/]", "/"), ("[a/b]x", "/x"), ("[*]", "*"), ("[*]", "a"), ("[?]", "?"), ("[.]", "a"), ("[$^]", "^"), ("[!^]", "^"),
    ("[\U0001f600-\U0001f640]", "\U0001f610"), ("[!a]", "\U0001f600"), ("[\u00e4]", "\u00e4"), ("\u00e4*", "\u00e4\u00f6"),
    ("[\uffee-\U0001f600]", "\U0001f5ff"), ("[\U0001f600-\uffee]", "\uffee"), ("[\uffee-\U0001f600]", "\uffef"),
    ("a.c", "abc"), ("a.c", "a.c"), ("a+", "aa"), ("a+", "a+"), ("(a)", "(a)"), ("a|b", "a"), ("a|b", "a|b"),
    ("^a$", "a"), ("^a$", "^a$"), ("{a,b}", "a"), ("{a,b}", "{a,b}"), ("a{2}", "aa"), ("a{2}", "a{2}"), ("#", "#"),
    ("a b", "a b"), ("%20", "%20"), ("-", "-"), ("!a", "!a"), ("]", "]"), ("a]", "a]"), ("model-[0-9]*.safetensors",
    "model-00001-of-00002.safetensors"), ("model-[0-9].safetensors", "model-00001.safetensors"),
    ("*.[!j]*", "a.json"), ("*.[!j]*", "a.txt"), ("*[0-9][0-9]*", "v10"), ("*/*/*", "a/b"), ("*/*/*", "a/b/c"),
]
alphabet = "ab-]![^*?/.0z"


def accident(pattern):
    # An empty range in front of "!" leaves it first in its set, and CPython 3.11 then takes it for a negation:
    # an accident that nobody should depend on.
    return re.search(r"\[.-.!", pattern) is not None


def fnmatch_cases(rng):
    def noise(most):
        return "".join(rng.choice(alphabet) for _ in range(rng.randrange(most + 1)))

    # Random ones, of which about every second text is made to look like its pattern.
    at_random = []
    while len(at_random) < 900:
        pattern = noise(9).rstrip("/")
        text = noise(6)
        if accident(pattern):
            continue
        if rng.random() < 0.6:
            text = "".join(
                noise(2) if char == "*" else rng.choice(alphabet) if char in "?[" else char for char in pattern
            )
        at_random.append((pattern, text))
    # Sets, which are where the corners are.
    while len(at_random) < 1500:
        inside = rng.choice(["", "!"]) + "".join(rng.choice("abcz-^[&~|") for _ in range(rng.randrange(1, 6)))
        at_random.append((f"[{inside}]", rng.choice("abcyz-!^[&~|]")))
    return [[p, t, fnmatchcase(t, p)] for p, t in by_hand + at_random]


# Whole selections: paths as repositories have them, patterns as people write them.
folders = ["", "data/", "data/train/", "onnx/", "a b/", ".cache/", "Data/", "data.v1/", "x\\y\\"]
names = [
    "README.md", ".gitattributes", "config.json", "model.safetensors", "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors", "pytorch_model.bin", "tokenizer.json", "train.parquet", "notes[1].txt",
    "caf\u00e9.txt", "\U0001f600.png", "MODEL.BIN", "x", "a]b",
]
patterns = [
    "*", "**", "*.json", "*.safetensors", "*.bin", "*.BIN", "data/", "data/*", "data/**", "data/**/*.parquet", "onnx/",
    "**/*.json", "*/x", "README*", "[a-m]*", "[!a-z]*", "model-0000[12]*", "*[[]1].txt", "notes[1].txt", "?", "*/",
    "data\\*", "data\\train\\", "a b/*", "x/y/*", "x\\y\\*", ".*", "*.md", "", "/", "DATA/*", "caf?.txt", "?.png",
    "*]*", "[", "data", "/data/*", "./*", "*.{json,md}",
]
# What a path and a pattern are made of where neither is one that people write.
path_pieces = ["a", "b", "A", "0", ".", "-", "]", "[", "!", "^", "/", "/", "\\", "\u00e9", "\U0001f600", " "]
pattern_pieces = path_pieces + ["*", "*", "*", "**", "?", "[a-b]", "[!a]", "[]/]", "[0-", "*/", "\\*"]


def filter_cases(rng, common=260, odd=140):
    def some(of):
        # Nothing at all, an empty list and a few patterns mean different things.
        return None if rng.random() < 0.3 else [of() for _ in range(rng.randrange(4))]

    def case(paths, pattern):
        allow, ignore = some(pattern), some(pattern)
        # A single pattern may also come without a list.
        bare = allow[0] if allow is not None and len(allow) == 1 else allow
        kept = list(filter_repo_objects(paths, allow_patterns=bare, ignore_patterns=ignore))
        return {"paths": paths, "allow": allow, "ignore": ignore, "kept": kept}

    def made_of(pieces, most):
        return "".join(rng.choice(pieces) for _ in range(rng.randrange(1, most + 1)))

    def odd_pattern(paths):
        # Every second one is a path with something else here and there, so that it matches now and then.
        while True:
            pattern = made_of(pattern_pieces, 5)
            if rng.random() < 0.5:
                pattern = "".join(rng.choice(pattern_pieces) if rng.random() < 0.3 else c for c in rng.choice(paths))
            if rng.random() < 0.3:
                pattern = f"*{pattern[1:]}"
            if not accident(pattern):
                return pattern

    cases = []
    for _ in range(common):
        paths = [rng.choice(folders) + rng.choice(names) for _ in range(rng.randrange(1, 14))]
        cases.append(case(paths, lambda: rng.choice(patterns)))
    for _ in range(odd):
        paths = [made_of(path_pieces, 5) for _ in range(rng.randrange(4, 12))]
        cases.append(case(paths, lambda: odd_pattern(paths)))
    return cases


if __name__ == "__main__":
    seeded = random.Random(20260101)
    written("fnmatch-cases.json", fnmatch_cases(seeded))
    written("filter-cases.json", filter_cases(seeded))
