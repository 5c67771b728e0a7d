# REQUIRES: cuda-emulator
# UNSUPPORTED: asan
# RUN: %python %s
# RUN: env ATTN_EMULATOR_CC=80 %python %s
"""Products with packed weights on tensor cores, emulated: as exact as in f32, and the same bits for few and for many rows."""
import numpy as np

from harness import Model, Module, Report, compile_module, tensor
from reference.safetensors import from_bf16, round_to, to_bf16

# K, N: whole rounds of 32 k, panels, tiles, and others; ranges of one round and of several, with and without a rest.
SHAPES = [(24, 40), (64, 128), (33, 17), (31, 1), (96, 200), (128, 130), (580, 19), (1030, 33)]
CASES = [(k, n, "bf16") for k, n in SHAPES] + [(k, n, dtype) for dtype in ("f16", "f32") for k, n in [(33, 17), (580, 40)]]
NARROW = [(k, n, dtype, kind) for kind in ("bf16", "f16") for dtype in ("bf16", "f16") for k, n in [(33, 17), (64, 40)]]  # inputs of 16 bits
report = Report("cuda_products")
random = report.random
module, weights = Module(), []
for i, (k, n, dtype) in enumerate(CASES):
    weights.append(module.weight("w%d" % i, random.standard_normal((k, n)) / np.sqrt(k), dtype))
    x, y = tensor(("?", "?", k)), tensor(("?", "?", n))
    module.entry("f%d" % i, [("x", x, ["batch", "seq"])], [("y", y, "%y")],
                 "%%y = attn.linear %%x, %%w%d : (%s, %s) -> %s" % (i, x, tensor((k, n), dtype), y), weights=["w%d" % i])
for i, (k, n, dtype, kind) in enumerate(NARROW):
    weights.append(module.weight("v%d" % i, random.standard_normal((k, n)) / np.sqrt(k), dtype))
    x, y = tensor(("?", k), kind), tensor(("?", n), kind)
    module.entry("g%d" % i, [("x", x, ["seq"])], [("y", y, "%y")],
                 "%%y = attn.linear %%x, %%v%d : (%s, %s) -> %s" % (i, x, tensor((k, n), dtype), y), weights=["v%d" % i])


def check_narrow(model, rounds):
    """Inputs of 16 bits; `rounds`: with bf16 weights to bf16."""
    for i, ((k, n, dtype, kind), weight) in enumerate(zip(NARROW, weights[len(CASES):])):
        for rows in (1, 16, 70):
            x = round_to(random.standard_normal((rows, k)).astype(np.float32), kind)
            y = model.run("g%d" % i, {"x": to_bf16(x) if kind == "bf16" else x.astype(np.float16)})["y"]
            y = from_bf16(y) if kind == "bf16" else y.astype(np.float32)
            factor = round_to(x, "bf16") if rounds and dtype == "bf16" else x
            rounded = 2.0 ** (-8 if kind == "bf16" else -11)  # of the result alone
            report.close("%s x %s%s, %dx%d, %d rows" % (kind, dtype, ", rounded" if rounds else "", k, n, rows), y,
                         factor.astype(np.float64) @ weight.astype(np.float64), rounded)


with Model(compile_module(module, "--target=cuda", "--math=bf16")) as model:
    check_narrow(model, rounds=True)
with Model(compile_module(module, "--target=cuda")) as model:
    check_narrow(model, rounds=False)
    for i, ((k, n, dtype), weight) in enumerate(zip(CASES, weights)):
        for batch, seq in [(1, 1), (2, 8), (1, 17), (3, 23), (1, 64), (1, 130)]:
            label = "%s %dx%d, %d x %d rows" % (dtype, k, n, batch, seq)
            x = random.standard_normal((batch, seq, k)).astype(np.float32) * 1e3
            y = model.run("f%d" % i, {"x": x})["y"]
            report.close(label, y, x.astype(np.float64) @ weight.astype(np.float64), 2e-6)
            report.equal(label + ", one row", model.run("f%d" % i, {"x": x[:1, :1]})["y"][0, 0], y[0, 0])
        x = np.ones((1, 20, k), np.float32)
        x[0, 3, 0], x[0, 4, 0] = np.inf, np.nan
        y = model.run("f%d" % i, {"x": x})["y"][0]
        report.equal("%s %dx%d: infinity" % (dtype, k, n), y[3], np.inf * np.sign(weight[0]))
        report.expect("%s %dx%d: NaN, in its row" % (dtype, k, n), np.isnan(y[4]).all() and np.isfinite(y[5:]).all(), "got %s" % y[4:6])
report.finish()
