"""What the peers' scripts share: their command line and how a time is taken."""
import argparse
import time


def measure(function, min_seconds):
    """Minimum and median ms of at least 3 runs after one to warm up, as attn-bench does."""
    function()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < min_seconds:
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    return {"min_ms": times[0], "median_ms": times[len(times) // 2], "runs": len(times)}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", default="128,512")
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--min-time", type=float, default=2)
    return parser.parse_args()
