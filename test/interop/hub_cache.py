"""Python's client on a Hub cache folder: one call a run, arguments and results as JSON on stdin and stdout."""

import json
import os
import sys


def download(repo, path, **options):
    from huggingface_hub import hf_hub_download

    return hf_hub_download(repo, path, **options)


def snapshot(repo, **options):
    from huggingface_hub import snapshot_download

    return snapshot_download(repo, **options)


def cached(repo, path, **options):
    """A path, "missing" where it is known that there is no such file, None where nothing is known."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, path, **options)
    return found if found is None or isinstance(found, str) else "missing"


def tree(repo, **options):
    from huggingface_hub import get_cached_repo_tree

    files = get_cached_repo_tree(repo, **options)
    return [{"path": file.path, "size": file.size, "oid": file.blob_id, "xetHash": file.xet_hash} for file in files]


def scan(cache_dir):
    """What scan_cache_dir says, and what removing revisions without a ref would free."""
    from huggingface_hub import scan_cache_dir

    found = scan_cache_dir(cache_dir)
    detached = [rev.commit_hash for repo in found.repos for rev in repo.revisions if not rev.refs]
    return {
        "size": found.size_on_disk,
        "warnings": [str(warning) for warning in found.warnings],
        "unfinished": sorted(os.path.basename(file.file_path) for file in found.incomplete_files),
        "detachedBytes": found.delete_revisions(*detached).expected_freed_size,
        "repos": [
            {
                "type": repo.repo_type,
                "name": repo.repo_id,
                "size": repo.size_on_disk,
                "blobs": repo.nb_files,
                "lastAccessed": repo.last_accessed,
                "lastModified": repo.last_modified,
                "revisions": [
                    {
                        "commit": rev.commit_hash,
                        "refs": sorted(rev.refs),
                        "size": rev.size_on_disk,
                        "lastModified": rev.last_modified,
                        "files": sorted(
                            [str(file.file_path.relative_to(rev.snapshot_path)), file.size_on_disk] for file in rev.files
                        ),
                    }
                    for rev in sorted(repo.revisions, key=lambda rev: rev.commit_hash)
                ],
            }
            for repo in sorted(found.repos, key=lambda repo: (repo.repo_type, repo.repo_id))
        ],
    }


def delete(cache_dir, commits):
    from huggingface_hub import scan_cache_dir

    strategy = scan_cache_dir(cache_dir).delete_revisions(*commits)
    strategy.execute()
    return strategy.expected_freed_size


def checksums(repo, **options):
    """What differs from the Hub, by its own hashes."""
    from huggingface_hub import HfApi

    result = HfApi().verify_repo_checksums(repo, **options)
    return {"checked": result.checked_count, "wrong": list(result.mismatches), "missing": list(result.missing_paths)}


def hold(path):
    """Has the lock until its stdin ends."""
    from huggingface_hub.utils import WeakFileLock

    with WeakFileLock(path):
        print(json.dumps("held"), flush=True)
        sys.stdin.read()
    return "released"


call = json.loads(sys.stdin.readline())
try:
    print(json.dumps(globals()[call["name"]](**call["arguments"])))
except Exception as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
