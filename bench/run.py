"""Measures GPT-2 124M (random weights) on this machine, beside what else one would use, and prints the tables of
docs/performance.md as ratios. Everything runs in one sitting; nothing else should run meanwhile.

usage: bench/run.py [--torch-python PYTHON] [--llama-python PYTHON] [--write]

The peers need their own virtual environments (never installed by us): `torch transformers` for one,
`llama-cpp-python gguf numpy` for the other. Files and results lie in build/bench.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time

import gpt2_random

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


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


def peak(work, threads):
    program = os.path.join(work, "peak")
    run(["/usr/lib/llvm-22/bin/clang", "-O3", "-march=native", os.path.join(HERE, "peak.c"), "-o", program, "-lpthread"])
    return json.loads(run([program, str(threads)]))


def compile_model(attnc, directory, output, *flags):
    """Seconds, and the largest resident set of attnc (mapped weights included)."""
    start = time.perf_counter()
    process = subprocess.Popen([attnc, directory, "-o", output, *flags])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit("bench: attnc %s exited with %d" % (directory, process.returncode))
    return {"seconds": time.perf_counter() - start, "max_rss": usage.ru_maxrss * 1024}


def cpu_name():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*:\s*(.*)", file.read())
    return found.group(1) if found else platform.machine()


def prefill_flops(layers, width, vocab, tokens):
    """Products and causal attention of one prompt, head for the last token only."""
    return layers * (24 * width**2 * tokens + 2 * tokens**2 * width) + 2 * width * vocab


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] + ["---:"] * (len(header) - 1)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def speed_table(results, options):
    """Rows: ours and every peer; ms (ratio ours = 1 is `their time / our time`)."""
    ours, machine = results["ours"], results["peak"]
    layers = int(options.layers.split(",")[0])
    header = ["GPT-2 %s, f32, %d threads" % ("124M" if layers == 12 else "of %d layers" % layers, options.threads)]
    header += ["prefill %d, ms" % p["tokens"] for p in ours["prefill"]] + ["decode at %d, tokens/s" % options.decode]
    rows = []
    for name in ("ours", "torch", "llama"):
        r = results.get(name)
        if not r:
            continue
        row = [r.get("title") or r["name"]]
        for mine, theirs in zip(ours["prefill"], r["prefill"]):
            row.append("%.1f" % theirs["median_ms"] + ("" if r is ours else " (%.2f×)" % (theirs["median_ms"] / mine["median_ms"])))
        rate, mine = 1e3 / r["decode"]["median_ms"], 1e3 / ours["decode"]["median_ms"]
        rows.append(row + ["%.1f" % rate + ("" if r is ours else " (ours %.2f×)" % (mine / rate))])
    limit = ["the machine's limit (peak of f32, reading the weights)"]
    for p in ours["prefill"]:
        limit.append("%.1f" % (prefill_flops(layers, 768, 50257, p["tokens"]) / machine["gflops"] / 1e6))
    read = ours["weights_bytes"] - 4 * 1024 * 768  # position vectors are not read
    return table(header, rows + [limit + ["%.1f" % (machine["read_gbs"] * 1e9 / read)]])


def size_table(results):
    header = ["layers", "compile, s", "largest resident set, MiB", "weights, MiB", "file without weights, KiB", "load, ms"]
    rows = []
    for layers, r in sorted(results["sizes"].items(), key=lambda item: int(item[0])):
        rows.append([layers, "%.2f" % r["seconds"], "%.0f" % (r["max_rss"] / 2**20), "%.0f" % (r["weights_bytes"] / 2**20),
                     "%.0f" % ((r["file_bytes"] - r["weights_bytes"]) / 1024), "%.2f" % r["load_ms"]])
    return table(header, rows)


def report(results, options):
    m = results["peak"]
    return "\n\n".join([
        "Machine: %s, %d threads. Measured in the same run: %.0f GFLOP/s f32 together (%.0f one core), %.1f GB/s reading "
        "together (%.1f one core). Variant %s." % (results["cpu"], options.threads, m["gflops"], m["gflops_1"], m["read_gbs"],
                                                   m["read_gbs_1"], results["ours"]["variant"]),
        "Median of at least three runs and %g s; their time divided by ours in parentheses." % options.min_time,
        speed_table(results, options), "Both instruction sets in one file:", size_table(results)])


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
    again = peak(options.work, options.threads)
    results["peak"] = {n: max(v, again[n]) for n, v in results["peak"].items()}
    with open(os.path.join(options.work, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    text = report(results, options)
    print(text)
    if options.write:
        put_in_page(text, begin, end)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="interpreter that has torch and transformers")
    parser.add_argument("--llama-python", help="interpreter that has llama_cpp, gguf and numpy")
    parser.add_argument("--layers", default="12,48", help="depths of the size table; the first is measured for speed")
    parser.add_argument("--prefill", default="128,512")
    parser.add_argument("--decode", type=int, default=128, help="tokens in the cache")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--min-time", type=float, default=2, help="seconds per measurement (default: %(default)s)")
    parser.add_argument("--variant", help="instruction set instead of the best one")
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--work", default=os.path.join(SOURCE, "build", "bench"))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    tool = lambda name: os.path.join(options.build, "bin", name)
    os.makedirs(options.work, exist_ok=True)
    depths = [int(n) for n in options.layers.split(",")]

    say("bench: this machine's limits")
    results = {"cpu": cpu_name(), "peak": peak(options.work, options.threads), "sizes": {}}
    for layers in depths:
        directory = os.path.join(options.work, "gpt2-%d" % layers)
        say("bench: %d layers" % layers)
        gpt2_random.write(directory, layers=layers)
        output = os.path.join(options.work, "gpt2-%d.so" % layers)
        size = compile_model(tool("attnc"), directory, output)
        flags = ["--threads", str(options.threads), "--json"] + (["--variant", options.variant] if options.variant else [])
        run([tool("attn-bench"), output, "--decode", "1", "--min-time", "0", *flags])  # fills the page cache
        length = options.prefill if layers == depths[0] else "16"
        bench = json.loads(run([tool("attn-bench"), output, "--prefill", length, "--decode", str(options.decode), "--min-time",
                                str(options.min_time if layers == depths[0] else 0), *flags]))
        results["sizes"][str(layers)] = dict(size, **{n: bench[n] for n in ("weights_bytes", "file_bytes", "load_ms")})
        if layers == depths[0]:
            results["ours"] = dict(bench, title="attnc")
        else:
            shutil.rmtree(directory)
            os.remove(output)
    peer_flags = [os.path.join(options.work, "gpt2-%d" % depths[0]), "--threads", str(options.threads), "--prefill",
                  options.prefill, "--decode", str(options.decode), "--min-time", str(options.min_time)]
    for name, python in (("torch", options.torch_python), ("llama", options.llama_python)):
        if python:
            say("bench: " + name)
            results[name] = last_json(run([python, os.path.join(HERE, "peers", name + "_gpt2.py"), *peer_flags]))
    finish(results, options, report, BEGIN, END)


if __name__ == "__main__":
    main()
