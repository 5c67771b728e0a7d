"""device_tests.py DIRECTORY: tests and benchmarks that need nothing but an NVIDIA driver.

Writes compiled files, attn-run and attn-bench, inputs, what the CPU backend computes from them, and run.sh. Prints the
images of the kernels, for the emulator.
"""
import os
import shlex
import shutil
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e"))
import cuda
from harness import BIN, SEED, SOURCE, Model, Module, State, compile_module, tensor
from op_cases import CASES, module, values

RUN = """#!/bin/sh
# Every op and the example on this machine's NVIDIA GPU, compared with attnc's CPU backend; then the speed of the example.
# --no-bench leaves that out. Exit status 1 if something failed.
cd "$(dirname "$0")" || exit 2
passed=0 failed=0
check() { # LABEL ARGUMENTS...
  label=$1
  shift
  if text=$(bin/attn-run "$@" 2>&1); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL: $label: $text"
  fi
}
echo "device: $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || echo unknown)"
rm -f state
. ./cases.sh
rm -f state
if [ "$1" != --no-bench ]; then
  bin/attn-bench example.so --prefill 32,128 --decode 32,128 || failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
"""

out = sys.argv[1]
shutil.rmtree(out, ignore_errors=True)
os.makedirs(os.path.join(out, "bin"))
lines, images = [], []


def compiled(source, name):
    """The model for the CPU; the one for the device goes to NAME.so."""
    path = compile_module(source, "--target=cuda")
    shutil.copy(path, os.path.join(out, name + ".so"))
    images.append(cuda.images(os.path.dirname(path)))
    return Model(compile_module(source, "--target=native"))


def add(label, file, entry, inputs, expected, *more):
    """A case: inputs by name, and outputs."""
    place = "cases/%03d" % len(lines)
    os.makedirs(os.path.join(out, place))
    words = ["check", label, file + ".so", "--entry", entry, *more]
    for option, arrays in (("--input", inputs), ("--expect", expected)):
        for name, array in arrays.items():
            np.save(os.path.join(out, place, name + ".npy"), array)
            words += [option, "%s=%s/%s.npy" % (name, place, name)]
    lines.append(shlex.join(words))


random = np.random.default_rng(SEED)
with compiled(module, "ops") as model:
    for op, form, name, arguments in CASES:
        for batch, seq, keys in [(1, 1, 3), (2, 17, 70), (3, 65, 5)] if name != "cached" else []:
            inputs = values(random, arguments, batch, seq, keys)
            add("%s %s %dx%d" % (op, form, batch, seq), "ops", name, inputs, model.run(name, inputs, None))
# Products of few and of many rows: a row's bits are the same. The inputs' rows are, so their greatest is each of them.
rows, k, n = Module(), 1000, 72
x, y, one, of_one = tensor(("?", "?", k)), tensor(("?", "?", n)), tensor(("?", k)), tensor(("?", n))
for kind in ("f32", "bf16", "f16"):
    w = tensor((k, n), kind)
    rows.weight("w_" + kind, random.standard_normal((k, n)), kind)
    rows.entry(kind, [("x", x, ["batch", "seq"])], [("difference", of_one, "%d")], """%%many = attn.linear %%x, %%w_%s : (%s, %s) -> %s
        %%of_many = attn.pool max %%many : (%s) -> %s
        %%negative = attn.scale %%of_many by -1.0 : (%s) -> %s
        %%one = attn.pool max %%x : (%s) -> %s
        %%d = attn.linear %%one, %%w_%s residual %%negative : (%s, %s, %s) -> %s""" % (
            kind, x, w, y, y, of_one, of_one, of_one, x, one, kind, one, w, of_one, of_one), {"seq": (1, 512)}, ["w_" + kind])
with compiled(rows, "rows") as model:
    for kind in ("f32", "bf16", "f16"):
        for length in (1, 16, 17, 200):
            same = np.repeat(random.standard_normal((1, 1, k)).astype(np.float32), length, 1)
            add("%s: bits of 1 and of %d rows" % (kind, length), "rows", kind, {"x": same}, {"difference": np.zeros((1, n), np.float32)})
example = os.path.join(SOURCE, "examples", "summarizer")
ids = np.load(os.path.join(example, "expected.npz"))["input_ids"][:, :9].astype(np.int64)
with compiled(example, "example") as model:
    state = State(model, len(ids), 64)
    add("example forward", "example", "forward", {"input_ids": ids}, {"logits": model.run("forward", {"input_ids": ids})["logits"]})
    for entry, part in (("prefill", ids[:, :-1]), ("decode", ids[:, -1:])):
        logits = model.run(entry, {"input_ids": part}, state)["logits"]
        add("example " + entry, "example", entry, {"input_ids": part}, {"logits": logits}, "--state", "state")
    state.close()
for tool in ("attn-run", "attn-bench"):
    shutil.copy(os.path.join(BIN, tool), os.path.join(out, "bin", tool))
for name, text in (("cases.sh", "\n".join(lines) + "\n"), ("run.sh", RUN)):
    with open(os.path.join(out, name), "w", encoding="utf-8") as file:
        file.write(text)
os.chmod(os.path.join(out, "run.sh"), 0o755)
print("images " + ":".join(images))
