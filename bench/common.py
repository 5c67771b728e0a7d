"""What the benchmarks share: starting programs, this machine's limits, tables, and their place in docs/performance.md.

No NumPy here: what attnc needs at most is only seen where the program that starts it is small (see compile_model).
"""
import json
import os
import platform
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, **options):
    """stdout of a command that must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, **options)
    if done.returncode != 0:
        sys.exit("bench: %s exited with %d" % (" ".join(command), done.returncode))
    return done.stdout.decode()


def last_json(text):
    """The JSON object in the last line; libraries like to print before it."""
    return json.loads(text.strip().splitlines()[-1])


def peak(options, megabytes=()):
    """This machine's limits; megabytes: (how many,) that are read, else more than caches hold."""
    program = os.path.join(options.work, "peak")
    run(["/usr/lib/llvm-22/bin/clang", "-O3", "-march=native", os.path.join(HERE, "peak.c"), "-o", program, "-lpthread"])
    return json.loads(run([program, str(options.threads), "1" if options.quick else "20", *map(str, megabytes)]))


def timed(command):
    """Seconds and the largest resident set of a program, mapped files included, but never less than ours."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit("bench: %s exited with %d" % (" ".join(command), process.returncode))
    return {"seconds": seconds, "max_rss": usage.ru_maxrss * 1024}


def cpu_name():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*:\s*(.*)", file.read())
    return found.group(1) if found else platform.machine()


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] + ["---:"] * (len(header) - 1)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def put_in_page(text, begin, end):
    """Replaces what is between the two lines in docs/performance.md."""
    path = os.path.join(SOURCE, "docs", "performance.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit("bench: expected the lines %s and %s in %s" % (begin, end, path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + "\n" + text + "\n" + end + after)


def finish(results, options, report, begin, end):
    """Measures the machine's limits once more, keeps the results, and prints or writes their tables."""
    # A limit is the best that was seen: a virtual machine's second core can be late at the start.
    again = peak(options)
    results["peak"] = {n: max(v, again[n]) for n, v in results["peak"].items()}
    with open(os.path.join(options.work, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    text = report(results, options)
    print(text)
    if options.write:
        put_in_page(text, begin, end)
