"""The native client, one measured piece of work a run: the job as JSON on the command line, what it took on stdout."""

import json
import os
import resource
import sys
import time
import urllib.request


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_bytes():
    # Not ru_maxrss where there is something better: that begins with what the parent had.
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def download(repo, path, localDir=None, **_):
    from huggingface_hub import hf_hub_download

    def timed():
        return {"size": os.path.getsize(hf_hub_download(repo, path, local_dir=localDir))}

    return timed


def located(repo, path):
    """A file, and a group of streams that reads it; what hf_hub_download asks, asked by hand."""
    import hf_xet

    endpoint = os.environ["HF_ENDPOINT"]
    request = urllib.request.Request(f"{endpoint}/{repo}/resolve/main/{path}", method="HEAD")

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    try:
        head = urllib.request.build_opener(Stay).open(request).headers
    except urllib.error.HTTPError as redirected:
        head = redirected.headers
    info = hf_xet.XetFileInfo(head["x-xet-hash"], int(head.get("x-linked-size") or head["content-length"]))
    commit = head["x-repo-commit"]
    group = hf_xet.XetSession().new_download_stream_group(
        token_refresh_url=f"{endpoint}/api/models/{repo}/xet-read-token/{commit}"
    )
    return group, info


def memory(repo, path, **_):
    import hf_xet  # noqa: F401

    def timed():
        group, info = located(repo, path)
        whole = bytearray()
        for piece in group.download_stream(info):
            whole += piece
        return {"size": len(whole)}

    return timed


def firstByte(repo, path, **_):
    import hf_xet  # noqa: F401

    def timed():
        group, info = located(repo, path)
        stream = group.download_stream(info)
        first = next(iter(stream))
        taken = {"size": len(first), "seconds": time.perf_counter() - timed.started}
        stream.cancel()
        return taken

    return timed


def ranges(repo, path, ranges, **_):
    import hf_xet  # noqa: F401

    def timed():
        group, info = located(repo, path)
        latencies = []
        for start, end in ranges:
            started = time.perf_counter()
            length = sum(len(piece) for piece in group.download_stream(info, start=start, end=end))
            assert length == end - start
            latencies.append(time.perf_counter() - started)
        return {"latencies": latencies}

    return timed


def snapshot(repo, localDir=None, **_):
    from huggingface_hub import snapshot_download

    def timed():
        snapshot_download(repo, local_dir=localDir)
        return {}

    return timed


def chunk(file, **_):
    import hf_xet

    hf_xet.hash_files([file])  # warms the page cache, as the other clients have the bytes in memory

    def timed():
        hf_xet.hash_files([file])
        return {"size": os.path.getsize(file)}

    return timed


def upload(repo, path, file, **_):
    from huggingface_hub import HfApi

    def timed():
        HfApi().upload_file(path_or_fileobj=file, path_in_repo=path, repo_id=repo)
        return {"size": os.path.getsize(file)}

    return timed


job = json.loads(sys.argv[1])
work = globals().get(job.pop("work"))
if work is None:
    print(json.dumps({"unsupported": True}))
    sys.exit()
timed = work(**job)
cpu = cpu_seconds()
timed.started = time.perf_counter()
more = timed()
seconds = time.perf_counter() - timed.started
print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds() - cpu, "peakBytes": peak_bytes(), **more}))
