"""What the peers' scripts share: how they are told what to measure, how a time is taken, and how they answer.

On standard input: {"type", "threads", "min_time", "folder", "works"}, works as bench/works.py describes them. The last line
on standard output: {"name", "ms": {work: least ms}}. A work that the peer cannot do is left out, with a message.
"""
import json
import sys
import time


def measure(function, min_seconds, reset=lambda: None):
    """Minimum and median ms of at least 3 runs after one to warm up, as attn-bench does. `reset` is not timed."""
    times, begin = [], None
    while len(times) < 4 or time.perf_counter() - begin < min_seconds:
        reset()
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
        begin = begin or time.perf_counter()  # after the first
    times = sorted(times[1:])
    return {"min_ms": times[0], "median_ms": times[len(times) // 2], "runs": len(times)}


def serve(name, setup):
    """setup(request) gives prepare(work), which gives the function to time, or that and what to do before each run.

    Form first, the only work of its process, is timed from when the process was started ("spawned", time.monotonic())."""
    request, ms = json.load(sys.stdin), {}
    prepare = setup(request)
    for work in request["works"]:
        if "spawned" in request:
            begin = prepare(dict(work, form="prefill"))
            function, reset = begin if isinstance(begin, tuple) else (begin, lambda: None)
            reset()
            function()
            ms[work["name"]] = 1e3 * (time.monotonic() - request["spawned"])
            continue
        try:
            begin = prepare(work)
            timed = begin if isinstance(begin, tuple) else (begin,)
            ms[work["name"]] = measure(timed[0], request["min_time"], *timed[1:])["min_ms"]
        except (RuntimeError, NotImplementedError, ValueError) as error:
            print("%s: %s: %s" % (name, work["name"], str(error)[:300].replace("\n", " ")), file=sys.stderr)
    print(json.dumps({"name": name, "ms": ms}))
