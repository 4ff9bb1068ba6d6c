"""What Python's client says of a Hub cache folder, and does with it: one call a run, JSON on stdin and stdout."""

import json
import sys

from huggingface_hub import scan_cache_dir, snapshot_download


def scan(cache_dir):
    """What scan_cache_dir counts, and what removing all revisions without a ref would free."""
    found = scan_cache_dir(cache_dir)
    detached = [rev.commit_hash for repo in found.repos for rev in repo.revisions if not rev.refs]
    return {
        "size": found.size_on_disk,
        "warnings": [str(warning) for warning in found.warnings],
        "unfinished": sum(file.size_on_disk for file in found.incomplete_files),
        "detachedBytes": found.delete_revisions(*detached).expected_freed_size,
        "repos": {
            f"{repo.repo_type} {repo.repo_id}": {
                "size": repo.size_on_disk,
                "blobs": repo.nb_files,
                "lastAccessed": repo.last_accessed,
                "lastModified": repo.last_modified,
                "revisions": {
                    rev.commit_hash: {"refs": sorted(rev.refs), "size": rev.size_on_disk, "files": rev.nb_files}
                    for rev in repo.revisions
                },
            }
            for repo in found.repos
        },
    }


def expected(cache_dir, commits):
    """What removing revisions would free."""
    return scan_cache_dir(cache_dir).delete_revisions(*commits).expected_freed_size


def snapshot(repo, repo_type, revision, cache_dir, local_only=False):
    return snapshot_download(
        repo, repo_type=repo_type, revision=revision, cache_dir=cache_dir, local_files_only=local_only
    )


call = json.load(sys.stdin)
print(json.dumps(globals()[call["name"]](**call["arguments"])))
