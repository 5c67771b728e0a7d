# RUN: %python %s
"""Every op on every backend: the same inputs, the same results, one table.

docs/backends.md holds the table: `device` where the backend's device computes the op, `host` where the CPU backend's code does.
backends.py --write replaces it there.
"""
import os
import re
import subprocess
import sys

import numpy as np

from harness import ATTNC, SEED, SOURCE, Model, Module, Report, State, compile_module
from op_cases import CASES, X, module, values, x

TARGETS = ["halide:host", "halide:host-opencl", "halide:host-vulkan", "cuda"]
report = Report("backends")


def launched(target):
    """For every entry the ops that the device computes."""
    path = os.path.join(os.path.dirname(compile_module(module, "--target=" + target)), "model.mlir")
    done = subprocess.run([ATTNC, path, "--emit=tasks", "--target=" + target], stdout=subprocess.PIPE, check=True, text=True)
    result = {}
    for body in done.stdout.split("func.func @")[1:]:
        result[body.split("(")[0]] = set(re.findall(r'"(\w+)" flop', re.sub(r"attn\.dispatch[^\n]*", "", body)))
    return result


def available(target):
    """Whether there is a device; else the reason, as the model file says it."""
    probe = Module()
    probe.entry("f", [x], [("out", X, "%o")], "%%o = attn.activation relu %%x : (%s) -> %s" % (X, X))
    try:
        path = compile_module(probe, "--target=" + target)
    except Exception as error:  # built without Halide
        return str(error).strip().splitlines()[-1]
    try:
        with Model(path) as model:
            model.run("f", {"x": np.ones((1, 1, 24), np.float32)})
    except Exception as error:
        return str(error)
    return ""


def run_all(target):
    """What every case yields: [(label, output)]; the same inputs whatever the target."""
    random = np.random.default_rng(SEED)
    results = []
    with Model(compile_module(module, "--target=" + target)) as model:
        for op, form, name, arguments in CASES:
            for batch, seq, keys in [(1, 1, 3), (2, 17, 70), (3, 65, 5)]:
                state = State(model, batch, 200) if name == "cached" else None
                for length in (seq, 1, 70) if state else (seq,): # appended to a sequence, over pages
                    out = model.run(name, values(random, arguments, batch, length, keys), state)["out"]
                    results.append(("%s %s %dx%d" % (op, form, batch, length), out))
                if state:
                    state.close()
    return results


rows = {}
expected = run_all("native")
used = []
for target in TARGETS:
    reason = available(target)
    if reason:
        print("skipped: %s: %s" % (target, reason))
        continue
    used.append(target)
    computed = launched(target)
    for op, form, name, _ in CASES:
        ops = computed[name]
        on_device = op in ops or (op.startswith("arith") and "generic" in ops)
        rows.setdefault(op, {}).setdefault(target, {})[form] = on_device
    for (label, got), (_, want) in zip(run_all(target), expected):
        if got.dtype.kind == "f":
            report.close("%s %s" % (target, label), got, want, 2e-5, floor=1e-3)
        else:
            report.equal("%s %s" % (target, label), got, want)


def cell(forms):
    device = [form for form, on in forms.items() if on]
    if len(device) == len(forms):
        return "device"
    return "host" if not device else "host: " + ", ".join(form or "plain" for form in forms if form not in device)


lines = ["| op | cpu | " + " | ".join(used) + " |", "| --- |" + " --- |" * (1 + len(used))]
lines += ["| `%s` | yes | " % op + " | ".join(cell(forms[target]) for target in used) + " |" for op, forms in rows.items()]
table = "\n".join(lines)
print(table)
document = os.path.join(SOURCE, "docs", "backends.md")
begin, end = "<!-- matrix: test/e2e/backends.py --write -->\n", "\n<!-- end -->"
with open(document, encoding="utf-8") as file:
    text = file.read()
before, rest = text.split(begin)
old, after = rest.split(end)
if "--write" in sys.argv:
    with open(document, "w", encoding="utf-8") as file:
        file.write(before + begin + table + end + after)
elif len(used) == len(TARGETS):
    report.expect("docs/backends.md", old == table, "expected the table above: run test/e2e/backends.py --write")
report.finish()
