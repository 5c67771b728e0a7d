"""Measures attention alone, beside PyTorch's SDPA and compiled FlexAttention, and prints the tables of
docs/performance.md. Everything runs in one sitting; nothing else should run meanwhile.

usage: bench/attention.py [--torch-python PYTHON] [--only REGEX] [--quick] [--write]

PYTHON has torch in a virtual environment of its own, and a C++ compiler beside it. Modules, model files and results
lie in build/bench/attention. The number is the best of all calls.
"""
import argparse
import json
import os
import re
import sys

from attention_cases import SAME, all_cases, prepare
from common import HERE, SOURCE, cpu_name, finish, last_json, peak, run, say, table
from timed_model import Runtime

BEGIN, END = "<!-- attention: begin -->", "<!-- attention: end -->"
SHAPES = [(dim, seq) for dim in (64, 128) for seq in (512, 1024, 4096)]
S4096, S8192 = " D64 S4096", " D64 S8192"
# Title, case, the case it is divided by, and what we want (the numbers).
RATIOS = [
    ("causal / full, S=4096 D64", "causal" + S4096, "full" + S4096, "≤ 0.56"),
    ("causal / full, S=4096 D128", "causal D128 S4096", "full D128 S4096", "≤ 0.56"),
    ("window of 512 / causal, S=8192", "window" + S8192, "causal" + S8192, "≤ 0.18"),
    ("documents of 700 / one by one", "documents" + S4096, "documents one by one" + S4096, "≤ 1.10"),
    ("documents region / one by one", "documents region" + S4096, "documents one by one" + S4096, "≤ 1.10"),
    ("no-op score region / causal", "no-op score region" + S4096, "causal" + S4096, "≤ 1.02"),
    ("ALiBi / causal", "ALiBi" + S4096, "causal" + S4096, "≤ 1.05"),
    ("ALiBi region / causal", "ALiBi region" + S4096, "causal" + S4096, "≤ 1.05"),
    ("soft cap / causal", "soft cap" + S4096, "causal" + S4096, "≤ 1.25"),
    ("causal region / causal", "causal region" + S4096, "causal" + S4096, ""),
    ("window region / window", "window region" + S4096, "window" + S4096, ""),
    ("decode, bf16 / f32 cache", "decode bf16", "decode f32", "0.50"),
]


def ratio_table(ours):
    return table(["ratio of our times", "measured", "goal"],
                 [(title, "%.3f" % (ours[a] / ours[b]), goal) for title, a, b, goal in RATIOS if a in ours and b in ours])


def peak_table(cases, ours, sdpa, gflops):
    """Of causal attention, half of the products count."""
    def cell(name, ms, theirs):
        c = cases[name]
        flops = 4 * c["seq"] ** 2 * c["dim"] * c["heads"] / (2 if c["form"] == "causal" else 1)
        return "%.0f %%" % (1e-4 * flops / ms / gflops) + (" (%.2f×)" % (ms / ours[name]) if theirs else "")

    rows = []
    for form in ("full", "causal"):
        names = ["%s D%d S%d" % (form, *shape) for shape in SHAPES]
        for title, times in (("attnc", ours), ("PyTorch SDPA", sdpa)):
            if any(n in times for n in names):
                rows.append(["%s, %s" % (title, form)] + [cell(n, times[n], times is sdpa) if n in times else "" for n in names])
    return table(["share of the f32 peak"] + ["D%d S=%d" % shape for shape in SHAPES], rows)


def form_table(cases, ours, flex):
    base, rows = ours.get("causal" + S4096), []
    for name, c in cases.items():
        if name.endswith(S4096) and c["form"] != "full":
            ms, theirs = ours[name], flex.get(name)
            rows.append([c["form"], "%.2f" % ms, "%.3f" % (ms / base) if base else ""] + (
                ["%.1f (%.2f×)" % (theirs, theirs / ms)] if theirs else [""]))
    return table(["f32 S=4096 D64, 8 heads", "ms", "/ causal", "FlexAttention, ms"], rows)


def decode_table(cases, ours, sdpa, read_gbs):
    rows = []
    for title, times in (("attnc", ours), ("PyTorch SDPA", sdpa)):
        for name, c in cases.items():
            if c["form"] == "decode" and name in times:
                rate = 2 * c["kv_heads"] * c["seq"] * c["dim"] * (4 if c["dtype"] == "f32" else 2) / times[name] / 1e6
                share = "%.0f %%" % (100 * rate / read_gbs)
                rows.append(["%s, %s cache" % (title, c["dtype"]), "%.3f" % times[name], "%.1f" % rate, share])
    return table(["decode, 32 heads over 8, D128, 4096 keys", "ms", "GB/s of cache", "of reading"], rows)


def linear_table(cases, ours):
    rows = [[name.split()[1], c["seq"], "%.3f" % ours[name], "%.0f" % (1e3 * c["seq"] / ours[name])]
            for name, c in cases.items() if c["form"] == "linear"]
    return table(["linear attention, gated_delta, D128, 8 heads", "tokens", "ms", "tokens/s"], rows)


def report(results, options):
    m, ours, torch = results["peak"], results["ours"], results.get("torch")
    cases = {c["name"]: c for c in results["cases"]}
    kind = lambda k: {n: r[k] for n, r in torch["cases"].items() if r.get(k)} if torch else {}
    text = ["Lengths are a sixteenth of what is written below; these numbers mean nothing."] if options.quick else []
    machine = "Machine: %s, %d threads. Measured in the same run: %.0f GFLOP/s f32, %.1f GB/s reading, together. Variant %s%s."
    text += [machine % (results["cpu"], options.threads, m["gflops"], m["read_gbs"], results["variant"],
                        "; " + torch["name"] if torch else "")]
    text += ["Best of all calls in rounds of %g s, %d of them; their time divided by ours in parentheses." % (
        options.min_time, options.rounds)]
    tables = [ratio_table(ours), peak_table(cases, ours, kind("sdpa"), m["gflops"]), form_table(cases, ours, kind("flex")),
              decode_table(cases, ours, kind("sdpa"), m["read_gbs"]), linear_table(cases, ours)]
    return "\n\n".join(text + [t for t in tables if t.count("\n") > 1])


def keep_least(known, new):
    """Merges a round of a peer into `known`."""
    for name, value in new.items():
        if isinstance(value, dict):
            keep_least(known.setdefault(name, {}), value)
        elif known.get(name) is None:
            known[name] = value
        elif isinstance(value, float):
            known[name] = min(known[name], value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="interpreter that has torch")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose name it finds, e.g. 'S4096|decode'")
    parser.add_argument("--quick", action="store_true", help="a sixteenth of every length, one short round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="ours and the peers take turns (default: %(default)s)")
    parser.add_argument("--min-time", type=float, default=1, help="seconds per case and round (default: %(default)s)")
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--work", default=os.path.join(SOURCE, "build", "bench", "attention"))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        parser.error("--write is for a whole run")
    if options.quick:
        options.rounds, options.min_time = 1, 0
    os.makedirs(options.work, exist_ok=True)
    cases = [c for c in all_cases(options.quick) if re.search(options.only, c["name"])]
    if not cases:
        names = ", ".join(c["name"] for c in all_cases(options.quick))
        sys.exit("bench: --only %s finds none of: %s" % (options.only, names))

    say("bench: this machine's limits")
    results = {"cpu": cpu_name(), "peak": peak(options), "cases": cases}
    runtime = Runtime(options.build, options.threads)
    say("bench: compiling %d cases" % len(cases))
    models = [prepare(runtime, os.path.join(options.build, "bin", "attnc"), options.work, c) for c in cases]
    results["variant"] = models[0][0].variant
    said = [dict(c, form=SAME.get(c["form"], c["form"])) for c in cases]
    script = os.path.join(HERE, "peers", "torch_attention.py")
    peer = [options.torch_python, script, "--threads", str(options.threads), "--min-time", str(options.min_time)]
    for turn in range(options.rounds):
        say("bench: round %d" % (turn + 1))
        for model, before in models:
            model.measure(options.min_time, before)
        if options.torch_python:
            say("bench: torch")
            keep_least(results.setdefault("torch", {}), last_json(run(peer, input=json.dumps(said).encode())))
    results["ours"] = {c["name"]: model.best for c, (model, _) in zip(cases, models)}
    finish(results, options, report, BEGIN, END)


if __name__ == "__main__":
    main()
