"""Measures the backends beside each other, and prints the table of docs/performance.md. Everything runs in one sitting, the
backends in turns; nothing else should run meanwhile.

usage: bench/backends.py [--targets TARGET,…] [--quick] [--write]

Attention alone, GPT-2 124M with random weights, and examples/summarizer. A target whose device is missing is left out.
"""
import argparse
import os
import re
import subprocess
import sys

import numpy as np

from attention_cases import all_cases, prepare
from common import HERE, SOURCE, cpu_name, finish, peak, run, say, table, timed
from timed_model import Runtime, TimedModel, mf

BEGIN, END = "<!-- backends: begin -->", "<!-- backends: end -->"
TARGETS = ["native", "halide:host", "halide:host-opencl", "halide:host-vulkan"]
ATTENTION = ["full D64 S1024", "causal D64 S1024"]
WIDTH, LAYERS, VOCAB = 768, 12, 50257


def works(quick):
    """Name, model's directory, entry, tokens; after `past` tokens in the cache."""
    part = 16 if quick else 1
    gpt2, example = "gpt2", os.path.join(SOURCE, "examples", "summarizer")
    return [("GPT-2 124M, prefill of %d" % n, gpt2, "prefill", n // part, 0) for n in (128, 512)] + [
        ("GPT-2 124M, decode after 128", gpt2, "decode", 1, 128 // part),
        ("summarizer, prefill of 128", example, "prefill", 128 // part, 0),
        ("summarizer, decode after 128", example, "decode", 1, 128 // part)]


class Backend:
    """One target's models and what they took."""

    def __init__(self, options, runtime, target):
        self.options, self.runtime, self.target, self.ms, self.seconds, self.models = options, runtime, target, {}, {}, {}
        self.attnc = os.path.join(options.build, "bin", "attnc")

    def compiled(self, directory):
        """The file's path; remembers how long that took."""
        if directory not in self.models:
            place = directory if os.path.isabs(directory) else os.path.join(self.options.work, directory)
            path = os.path.join(self.options.work, "%s-%s.so" % (os.path.basename(place), re.sub(r"\W+", "-", self.target)))
            self.seconds[os.path.basename(place)] = timed([self.attnc, place, "-o", path, "--target=" + self.target])["seconds"]
            self.models[directory] = path
        return self.models[directory]

    def runs_here(self):
        """Whether the device is there."""
        probe = subprocess.run([os.path.join(self.options.build, "bin", "attn-generate"), self.compiled(works(True)[-1][1]), "--tokenizer",
                                works(True)[-1][1], "--prompt", "mail", "-n", "1"], capture_output=True, text=True)
        if probe.returncode != 0:
            say("bench: %s is left out: %s" % (self.target, probe.stderr.strip()))
        return probe.returncode == 0

    def prepare(self):
        quick = self.options.quick
        part = 16 if quick else 1
        self.calls = {}
        for case in all_cases(quick):
            if case["name"] in ATTENTION:
                self.calls[case["name"]] = prepare(self.runtime, self.attnc, self.options.work, case, self.target)
        vocabulary = {"gpt2": VOCAB // part}
        for name, directory, entry, tokens, past in works(quick):
            model = TimedModel(self.runtime, self.compiled(directory))
            model.create_state(1, past + tokens)
            vocab = vocabulary.get(directory, 8192)
            ids = lambda n: np.random.default_rng(n).integers(10, vocab, (1, n))
            if past:
                model.add([ids(past)], [(1, vocab)], "prefill")
                model.run()
                model.calls.clear()
            model.add([ids(tokens)], [(1, vocab)], entry)
            self.calls[name] = model, lambda model=model, past=past: model.state_op(mf.TRUNCATE, 0, past)

    def measure(self):
        for name, (model, before) in self.calls.items():
            model.measure(self.options.min_time, before)
            self.ms[name] = model.best


def report(results, options):
    m, backends = results["peak"], results["backends"]
    ours = backends["native"]["ms"]
    rows = []
    for name, ms in ours.items():
        cells = []
        for target, b in backends.items():
            text = "%.2f" % b["ms"][name] + ("" if target == "native" else " (%.1f×)" % (b["ms"][name] / ms))
            if name in ATTENTION:
                flop = 4 * 1024 ** 2 * 64 * 32 / (2 if name.startswith("causal") else 1) / (256 if options.quick else 1)
                text += ", %.0f %%" % (1e-4 * flop / b["ms"][name] / m["gflops"])
            cells.append(text)
        rows.append([name] + cells)
    for model in sorted({n for b in backends.values() for n in b["seconds"]}):
        rows.append(["compile %s, s" % model] + ["%.1f" % b["seconds"][model] for b in backends.values()])
    text = ["Lengths are a sixteenth of what is written below; these numbers mean nothing."] if options.quick else []
    text += ["Machine: %s, %d threads, %.0f GFLOP/s f32 measured in the same run. Milliseconds; how many times the CPU backend's; of "
             "attention alone the share of the peak (32 heads; of causal attention half of the products count)." % (
                 results["cpu"], options.threads, m["gflops"])]
    return "\n\n".join(text + [table(["f32"] + list(backends), rows)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join(TARGETS), help="native is always measured (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a sixteenth of every length, one short round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="the backends take turns (default: %(default)s)")
    parser.add_argument("--min-time", type=float, default=1, help="seconds per work and round (default: %(default)s)")
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--work", default=os.path.join(SOURCE, "build", "bench", "backends"))
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("--write is for a whole run")
    if options.quick:
        options.rounds, options.min_time = 1, 0
    os.makedirs(options.work, exist_ok=True)
    more = ["--layers", "1", "--vocab", str(VOCAB // 16)] if options.quick else []
    run([sys.executable, os.path.join(HERE, "gpt2_random.py"), os.path.join(options.work, "gpt2"), *more])
    say("bench: this machine's limits")
    results = {"cpu": cpu_name(), "peak": peak(options), "backends": {}}
    runtime = Runtime(options.build, options.threads)
    backends = []
    for target in dict.fromkeys(["native"] + options.targets.split(",")):
        say("bench: compiling for " + target)
        backend = Backend(options, runtime, target)
        if backend.runs_here():
            backend.prepare()
            backends.append(backend)
    for turn in range(options.rounds):
        say("bench: round %d" % (turn + 1))
        for backend in backends:
            backend.measure()
    results["backends"] = {b.target: {"ms": b.ms, "seconds": b.seconds} for b in backends}
    finish(results, options, report, BEGIN, END)


if __name__ == "__main__":
    main()
