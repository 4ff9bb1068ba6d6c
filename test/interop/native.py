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


def hashes(paths):
    return [{"path": path, "hash": info.hash, "size": info.file_size} for path, info in zip(paths, hf_xet.hash_files(paths))]


def snapshot(endpoint, repo, repo_type, folder):
    from huggingface_hub import snapshot_download

    return snapshot_download(repo, repo_type=repo_type, endpoint=endpoint, local_dir=folder)


def upload_folder(endpoint, repo, repo_type, folder):
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token="hf_local")
    api.create_repo(repo, repo_type=repo_type, exist_ok=True)
    return api.upload_folder(repo_id=repo, repo_type=repo_type, folder_path=folder).oid


call = json.load(sys.stdin)
print(json.dumps(globals()[call["name"]](**call["arguments"])))
