# RUN: %python %s
"""attn-run --profile=FILE.json on compiled files: names, FLOP and bytes that are known, sums; with and without threads."""
import json
import os
import subprocess
import tempfile

import numpy as np

from harness import BIN, SOURCE, Module, Report, compile_module, tensor

report = Report("profile")
K, N, ROWS = 48, 80, 24
module = Module()
module.weight("w", report.random.standard_normal((K, N)), "f32")
module.entry("forward", [("x", tensor(("?", K)), ["rows"])], [("y", tensor(("?", N)), "%y")],
             "%%y = attn.linear %%x, %%w : (%s, %s) -> %s" % (tensor(("?", K)), tensor((K, N)), tensor(("?", N))), weights=["w"])


def profile(path, inputs, *flags):
    with tempfile.TemporaryDirectory() as directory:
        command = [os.path.join(BIN, "attn-run"), path, "--profile=" + os.path.join(directory, "p.json"), *flags]
        for name, value in inputs.items():
            np.save(os.path.join(directory, name), value)
            command += ["--input", "%s=%s.npy" % (name, os.path.join(directory, name))]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(directory, "p.json"), encoding="utf-8") as file:
            found = json.load(file)
    for key, total in found["total"].items():
        report.expect("sum of " + key, total == sum(op[key] for op in found["ops"]), "got %s" % found)
    report.expect("peaks", found["peak_gflops"] > 0 and found["peak_read_gbs"] > 0, "got %s" % found)
    return found


for threads in (1, 2):
    ops = profile(compile_module(module), {"x": np.ones((ROWS, K), np.float32)}, "--threads", str(threads))["ops"]
    got = [(op["op"], op["calls"], op["flop"], op["bytes"]) for op in ops]
    want = [("linear", 1, 2 * ROWS * K * N, 4 * (ROWS * K + K * N + ROWS * N))]
    report.expect("linear, %d threads" % threads, got == want, "expected %s, got %s" % (want, got))

# A language model: every layer's ops, and among them at least the arithmetic of the parameters.
path = compile_module(os.path.join(SOURCE, "examples", "summarizer"))
with open(os.path.join(SOURCE, "examples", "summarizer", "config.json"), encoding="utf-8") as file:
    config = json.load(file)
layers, width, vocab, tokens = config["n_layer"], config["n_embd"], config["vocab_size"], 32
found = profile(path, {"input_ids": np.zeros((1, tokens), np.int64)}, "--entry", "prefill")
calls = {}
for op in found["ops"]:
    calls[op["op"]] = calls.get(op["op"], 0) + op["calls"]
report.expect("calls", calls["attention"] == layers and calls["linear"] >= 4 * layers, "got %s" % calls)
least = 2 * tokens * layers * 12 * width * width + 2 * width * vocab
report.expect("FLOP", least <= found["total"]["flop"] < 1.2 * least, "expected about %d, got %s" % (least, found))
report.expect("bytes", all(op["bytes"] > 0 for op in found["ops"]), "got %s" % found)
report.finish()
