"""Measures compiled models on this machine, beside what else one would use, and prints the tables of docs/performance.md as
ratios. Everything runs in one sitting, ours and the peers in turns; nothing else should run meanwhile.

usage: bench/run.py [--torch-python PYTHON] [--openvino-python PYTHON] [--onnxruntime-python PYTHON] [--llama-python PYTHON]
                    [--only REGEX] [--quick] [--write]

Models are GPT-2's and MiniLM's shapes with random weights. Each peer has a virtual environment of its own (never installed by
us): `torch transformers`, with `onnx onnxscript` to export models for the next two; `openvino`; `onnxruntime`; and
`llama-cpp-python gguf numpy`. The number is the best of all calls. Files, results.json and plots lie in build/bench.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

import plots
import tables
from common import HERE, SOURCE, cpu_name, finish, last_json, peak, run, say, timed
from works import OURS, PEERS, all_models, all_works, compiles, works_of

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Bench:
    def __init__(self, options):
        self.options = options
        self.target = ["--target=native"] if options.quick else []
        self.models = all_models(options.quick)
        self.works = [w for w in all_works(options.quick, options.threads) if self.wanted(w["name"])]
        self.compiled = [c for c in compiles() if self.wanted(c)]
        self.peers = {k: p for k, p in PEERS.items() if p.python is None or getattr(options, p.python + "_python")}
        self.results = {"cpu": cpu_name(), "quick": options.quick, "threads": options.threads, "names": {}, "ms": {}, "compile": {}}

    def wanted(self, name):
        return re.search(self.options.only, name)

    def tool(self, name):
        return os.path.join(self.options.build, "bin", name)

    def path(self, name):
        return os.path.join(self.options.work, name)

    def write_model(self, model):
        script, more = self.models[model]
        run([sys.executable, os.path.join(HERE, script), self.path(model), *more])

    def prepare(self):
        """Writes and compiles what the works need; leaves out types that attnc cannot compile yet."""
        exported = sorted({w["model"] for p in self.peers.values() if p.python in ("openvino", "onnxruntime") for w in works_of(p, self.works)})
        if exported and not self.options.torch_python:
            sys.exit("bench: expected --torch-python, which exports models to ONNX")
        needed = {}  # {model: types}
        for peer in self.peers.values():
            for work in works_of(peer, self.works):
                needed.setdefault(work.get("model", "gemm"), set()).update([peer.type] if peer.python is None else [])
        for model, types in needed.items():
            self.write_model(model)
            for kind in sorted(types):
                source, flags = self.path(model), OURS[kind][0]
                if model == "gemm":
                    source, flags = os.path.join(source, "gemm-%s.mlir" % ("f32" if kind == "f32" else "bf16")), OURS[kind][1]
                output, flags = self.path("%s-%s.so" % (model, kind)), flags + self.target
                done = subprocess.run([self.tool("attnc"), source, "-o", output, *flags], stderr=subprocess.PIPE)
                if done.returncode and b"not yet lowered" in done.stderr:
                    say("bench: left out: %s of %s: %s" % (kind, model, done.stderr.decode().strip()))
                    self.peers.pop("attnc " + kind, None)
                elif done.returncode:
                    sys.exit("bench: attnc %s: %s" % (source, done.stderr.decode().strip()))
        if exported:
            run([self.options.torch_python, os.path.join(HERE, "peers", "onnx_export.py")] + [self.path(m) for m in exported])

    def ask(self, key, works, **more):
        """One process of a peer: the least ms of each work joins the results."""
        options, peer = self.options, self.peers[key]
        request = {"type": peer.type, "threads": works[0]["threads"], "min_time": options.min_time, "folder": options.work,
                   "works": works, "build": options.build, "variant": options.variant, **more}
        python = getattr(options, peer.python + "_python") if peer.python else sys.executable
        command = [python, os.path.join(HERE, "peers", peer.script)]
        done = subprocess.run(command, input=json.dumps(request).encode(), stdout=subprocess.PIPE)
        if done.returncode and peer.python:  # a peer's bad day must not cost the others' results
            return say("bench: left out: %s exited with %d" % (key, done.returncode))
        if done.returncode:
            sys.exit("bench: %s exited with %d" % (key, done.returncode))
        answer = last_json(done.stdout.decode())
        self.results["names"][key] = answer["name"] + " " + peer.label
        known = self.results["ms"].setdefault(key, {})
        for name, ms in answer["ms"].items():
            known[name] = min(ms, known.get(name, ms))

    def round(self):
        """Form by form, so that ours and the peers are never far apart; a quick one starts each peer once."""
        forms = ["gemm", "prefill", "decode", "encode"]
        for group in [forms] if self.options.quick else [[f] for f in forms]:
            for key, peer in self.peers.items():
                works = [w for w in works_of(peer, self.works) if w["form"] in group]
                for threads in sorted({w["threads"] for w in works}):
                    say("bench: %s: %s on %d threads" % (key, " ".join(group), threads))
                    self.ask(key, [w for w in works if w["threads"] == threads])
        for key, peer in self.peers.items():
            for work in works_of(peer, self.works):
                if work["form"] == "first":
                    say("bench: %s: first token" % key)
                    self.ask(key, [work], **({"spawned": time.monotonic()} if peer.python else {}))

    def compile(self):
        """Compile time, memory and load time, for one target and for all, by depth."""
        for label in self.compiled:
            say("bench: " + label)
            _, model, target = label.split()
            self.write_model(model)
            output, flags = self.path("compiled.so"), ["--threads", str(self.options.threads)]
            rounds = [timed([self.tool("attnc"), self.path(model), "-o", output, "--target=" + target])
                      for _ in range(self.options.rounds)]
            loads = [json.loads(run([self.tool("attn-bench"), output, "--prefill", "1", "--min-time", "0", "--json", *flags]))
                     for _ in range(2)]  # the first one fills the page cache
            self.results["compile"][label] = dict(
                loads[1], seconds=min(r["seconds"] for r in rounds), max_rss=max(r["max_rss"] for r in rounds),
                source_bytes=os.path.getsize(os.path.join(self.path(model), "model.safetensors")))
            os.remove(output)

    def memory(self):
        """What a long prompt, taken in pieces as attn-generate does, needs beyond weights and cache."""
        if not self.wanted("memory"):
            return
        say("bench: memory of a long prompt")
        self.write_model("gpt2-long")
        output = self.path("long.so")
        run([self.tool("attnc"), self.path("gpt2-long"), "-o", output, *self.target])
        with open(os.path.join(self.path("gpt2-long"), "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        tokens = config["n_positions"]
        used = timed([self.tool("attn-bench"), output, "--decode", str(tokens - 1), "--min-time", "0", "--threads", str(self.options.threads)])
        self.results["memory"] = dict(used, tokens=tokens, weights_bytes=os.path.getsize(output),
                                      cache_bytes=2 * 4 * tokens * config["n_layer"] * config["n_embd"])
        os.remove(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, has in (("torch", "torch, transformers and, for the next two, onnx and onnxscript"), ("openvino", "openvino"),
                      ("onnxruntime", "onnxruntime"), ("llama", "llama_cpp, gguf and numpy")):
        parser.add_argument("--%s-python" % name, metavar="PYTHON", help="interpreter that has " + has)
    parser.add_argument("--only", default="", metavar="REGEX", help="works whose name it finds, e.g. 'gemm|prefill gpt2-12'; also compile, memory")
    parser.add_argument("--quick", action="store_true", help="a sixteenth of every length, a sixth of the layers, one short round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="ours and the peers take turns (default: %(default)s)")
    parser.add_argument("--min-time", type=float, default=0.7, help="seconds per work and round (default: %(default)s)")
    parser.add_argument("--variant", help="instruction set instead of the best one")
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--work", help="folder of models and results (default: build/bench, with --quick build/bench/quick)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md, and a plot beside it")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        parser.error("--write is for a whole run")
    options.work = options.work or os.path.join(SOURCE, "build", "bench", *(["quick"] if options.quick else []))
    if options.quick:
        options.rounds, options.min_time = 1, 0
    os.makedirs(options.work, exist_ok=True)
    bench = Bench(options)
    if not (bench.works or bench.compiled or bench.wanted("memory")):
        sys.exit("bench: --only %s finds none of: %s" % (options.only, ", ".join(
            [w["name"] for w in all_works(options.quick, options.threads)] + compiles() + ["memory"])))

    say("bench: this machine's limits")
    bench.results["peak"] = peak(options)
    bench.prepare()
    for turn in range(options.rounds):
        say("bench: round %d" % (turn + 1))
        bench.round()
    bench.compile()
    bench.memory()
    finish(bench.results, options, tables.report, BEGIN, END)
    plots.write(bench.results, options.work)
    if options.write:
        plots.write(bench.results, os.path.join(SOURCE, "docs"))


if __name__ == "__main__":
    main()
