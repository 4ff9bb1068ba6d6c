"""What the native client does, one call a run: arguments and results as JSON on stdin and stdout."""

import json
import sys

import hf_xet


def upload(endpoint, paths):
    """Uploads files in one commit to a CAS that asks for no token."""
    session = hf_xet.XetSession()
    commit = session.new_upload_commit(endpoint=endpoint, token="none", token_expiry_unix_secs=2**33)
    for path in paths:
        commit.start_upload_file(path)
    uploads = [done.xet_info for done in commit.wait_to_finish().uploads.values()]
    return [{"hash": info.hash, "size": info.file_size, "sha256": info.sha256} for info in uploads]


def download(endpoint, files):
    """Downloads files by their Xet hashes from a CAS that asks for no token."""
    session = hf_xet.XetSession()
    with session.new_file_download_group(endpoint=endpoint, token="none", token_expiry_unix_secs=2**33) as group:
        for file in files:
            group.start_download_file(hf_xet.XetFileInfo(file["hash"], file["size"]), file["path"])
    return [file["path"] for file in files]


def hashes(paths):
    return [{"path": path, "hash": info.hash, "size": info.file_size} for path, info in zip(paths, hf_xet.hash_files(paths))]


def snapshot(endpoint, repo, repo_type, folder):
    from huggingface_hub import snapshot_download

    return snapshot_download(repo, repo_type=repo_type, endpoint=endpoint, local_dir=folder)


def hub_download(endpoint, repo, path, cache_dir, revision=None):
    from huggingface_hub import hf_hub_download

    return hf_hub_download(repo, path, endpoint=endpoint, cache_dir=cache_dir, revision=revision)


def upload_folder(endpoint, repo, repo_type, folder):
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token="hf_local")
    api.create_repo(repo, repo_type=repo_type, exist_ok=True)
    return api.upload_folder(repo_id=repo, repo_type=repo_type, folder_path=folder).oid


def commit_file(endpoint, repo, path, source, message):
    """One commit of one file, on top of whatever is there."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token="hf_local")
    return api.upload_file(path_or_fileobj=source, path_in_repo=path, repo_id=repo, commit_message=message).oid


def bucket_write(endpoint, bucket, folder):
    """Creates a bucket and sends the files of a folder in one call of the API."""
    from pathlib import Path

    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token="hf_local")
    api.create_bucket(bucket)
    root = Path(folder)
    files = [(path, path.relative_to(root).as_posix()) for path in root.rglob("*") if path.is_file()]
    api.batch_bucket_files(bucket, add=files)


def bucket_file_system(endpoint, bucket):
    """Works in a bucket as in a folder."""
    from huggingface_hub import HfFileSystem

    fs = HfFileSystem(endpoint=endpoint, token="hf_local")
    root = f"buckets/{bucket}"
    for name, text in (("a", "one"), ("b", "two")):
        with fs.open(f"{root}/d/{name}.txt", "w") as file:
            file.write(text)
    names = lambda: sorted(path[len(root) + 1 :] for path in fs.find(root))
    listed = names()
    text = fs.read_text(f"{root}/d/a.txt")
    partial = fs.read_bytes(f"{root}/d/b.txt", start=1, end=2).decode()
    fs.rm(f"{root}/d/a.txt")
    fs.invalidate_cache()
    return {"listed": listed, "text": text, "left": names(), "partial": partial}


def parse_uris(uris, endpoint):
    """What addresses mean; None for those that are refused."""
    from huggingface_hub import parse_hf_uri
    from huggingface_hub.errors import HfUriError

    def parsed(uri):
        try:
            found = parse_hf_uri(uri, endpoint=endpoint)
        except HfUriError:
            return None
        return {"type": found.type, "id": found.id, "revision": found.revision, "path": found.path_in_repo}

    return [parsed(uri) for uri in uris]


def tree(endpoint, repo):
    """What the commits of a repository are, and what the last one holds, as Python's client reads them."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token="hf_local")
    files = {
        entry.path: {"size": entry.size, "sha256": entry.lfs.sha256 if entry.lfs else None, "xet": entry.xet_hash}
        for entry in api.list_repo_tree(repo, recursive=True)
        if hasattr(entry, "size")
    }
    return {"files": files, "commits": [commit.title for commit in api.list_repo_commits(repo)]}


def unpack(archive, member, to):
    import shutil
    import zipfile

    with zipfile.ZipFile(archive) as files, files.open(member) as source, open(to, "wb") as target:
        shutil.copyfileobj(source, target)


def filter_cases(script, seed):
    """What filter_repo_objects says of selections made anew, by the generator of the cases that are kept."""
    import importlib.util
    import random

    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("make_cases", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng = random.Random(seed)
    return {"fnmatch": module.fnmatch_cases(rng), "filters": module.filter_cases(rng, 600, 600)}


call = json.load(sys.stdin)
print(json.dumps(globals()[call["name"]](**call["arguments"])))
