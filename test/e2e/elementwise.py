# RUN: %python %s
"""attn.activation, attn.scale and attn.soft_cap over the whole range of their input: no NaN, no overflow, right signs."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, tensor
from reference import reference

report = Report("elementwise")
module = Module()
x_type = tensor(("?", "?", 13))
for kind in reference.ACTIVATIONS:
    module.entry(kind, [("x", x_type, ["batch", "seq"])], [("y", x_type, "%y")],
                 "%%y = attn.activation %s %%x : (%s) -> %s" % (kind, x_type, x_type))
GATED = {"silu": {}, "gelu_tanh": {}, "gelu": {}, "relu": {"times_offset": 0.5}, "sigmoid": {"limit": 2.5}, "quick_gelu": {"limit": 7.0, "times_offset": 1.0}}
for kind, options in GATED.items():
    module.entry("gated_" + kind, [("x", x_type, ["batch", "seq"]), ("t", x_type, ["batch", "seq"])], [("y", x_type, "%y")],
                 "%%y = attn.activation %s %%x times %%t {%s} : (%s, %s) -> %s" % (
                     kind, ", ".join("%s = %s : f64" % option for option in options.items()), x_type, x_type, x_type))
SCALED = {"scale": ("attn.scale %x by 5.477", lambda x: 5.477 * x), "soft_cap": ("attn.soft_cap %x at 30.0", lambda x: 30 * np.tanh(x / 30))}
for name, (text, _) in SCALED.items():
    module.entry(name, [("x", x_type, ["batch", "seq"])], [("y", x_type, "%y")], "%%y = %s : (%s) -> %s" % (text, x_type, x_type))
# arith and math on tensors: chains, numbers and rows that are repeated, comparisons, types other than f32.
SPLAT = """
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %b = tensor.dim %x, %c0 : {x}
    %s = tensor.dim %x, %c1 : {x}
    %k = arith.constant 2.5 : f32
    %splat = tensor.splat %k[%b, %s] : {x}
    """
ROW = """%e = tensor.empty(%b, %s) : {x}
    %row = linalg.broadcast ins(%v : tensor<13xf32>) outs(%e : {x}) dimensions = [0, 1]
    """
USER = {  # name: body, reference of x, y, v
    "product": ("%r = arith.mulf %x, %y : {x}", lambda x, y, v: x * y),
    "chain": ("%0 = arith.subf %x, %y : {x}\n%1 = math.absf %0 : {x}\n%2 = arith.negf %1 : {x}\n%3 = math.exp %2 : {x}\n%r = arith.mulf %3, %x : {x}",
              lambda x, y, v: np.exp(-np.abs(x - y)) * x),
    "twice": ("%0 = arith.addf %x, %y : {x}\n%1 = math.tanh %0 : {x}\n%2 = arith.mulf %0, %1 : {x}\n%r = arith.addf %2, %0 : {x}",
              lambda x, y, v: (x + y) * np.tanh(x + y) + x + y),
    "soft_cap": (SPLAT + "%0 = arith.divf %x, %splat : {x}\n%1 = math.tanh %0 : {x}\n%r = arith.mulf %1, %splat : {x}",
                 lambda x, y, v: 2.5 * np.tanh(x / 2.5)),
    "splat": (SPLAT + "%r = arith.mulf %splat, %splat : {x}", lambda x, y, v: np.full_like(x, 6.25)),
    "row": (SPLAT + ROW + "%0 = arith.mulf %x, %row : {x}\n%r = arith.addf %0, %splat : {x}", lambda x, y, v: x * v + 2.5),
    "compare": ("%0 = arith.cmpf ogt, %x, %y : {x}\n%r = arith.select %0, %x, %y : tensor<?x?x13xi1>, {x}", lambda x, y, v: np.maximum(x, y)),
    "rounded": ("%0 = arith.truncf %x : {x} to tensor<?x?x13xf16>\n%1 = arith.addf %0, %0 : tensor<?x?x13xf16>\n%r = arith.extf %1 : tensor<?x?x13xf16> to {x}",
                lambda x, y, v: 2 * x.astype(np.float16).astype(np.float64)),
}
for name, (body, _) in USER.items():
    module.entry("user_" + name, [("x", x_type, ["batch", "seq"]), ("y", x_type, ["batch", "seq"]), ("v", tensor((13,)), [])],
                 [("r", x_type, "%r")], body.format(x=x_type))
path = compile_module(module)
# Exact points, the neighbourhood of zero, and magnitudes up to where exp overflows and beyond.
points = np.concatenate([[0.0, -0.0, 1, -1, 3, -3, 6, 0.5], np.logspace(-6, 4, 100), -np.logspace(-6, 4, 100),
                         report.random.standard_normal(1001) * 3])
points = np.resize(points.astype(np.float32), (2, 51, 13))
for variant in each_variant(path):
    with Model(path, variant) as model:
        for kind in reference.ACTIVATIONS:
            got = model.run(kind, {"x": points})["y"]
            expected = reference.activation(points, kind)
            if kind == "relu2":
                report.close("%s %s" % (variant, kind), got, expected, 2e-7)
                continue
            # Per element: relative to the value, or a few roundings of x where 1 + erf(x) and the like cancel.
            error = np.abs(got - expected) / (np.abs(expected) + 0.05 * np.abs(points) + 1e-6)
            report.expect("%s %s" % (variant, kind), np.isfinite(got).all() and error.max() <= 4e-6,
                          "largest error %.3g for x = %r: %r" % (error.max(), points.flat[error.argmax()], got.flat[error.argmax()]))
            infinite = np.full((1, 1, 13), np.nan, np.float32)
            report.expect("%s %s of NaN" % (variant, kind), kind in ("relu", "relu2", "relu6", "hard_sigmoid", "hard_swish")
                          or np.isnan(model.run(kind, {"x": infinite})["y"]).all(), "NaN became a number")
        for kind, options in GATED.items():
            t = np.roll(points, 7)
            report.close("%s %s times" % (variant, kind), model.run("gated_" + kind, {"x": points, "t": t})["y"],
                         reference.activation(points, kind, t, **options), 1e-6)
            nan = np.full((1, 1, 13), np.nan, np.float32)
            report.expect("%s %s times NaN" % (variant, kind),
                          np.isnan(model.run("gated_" + kind, {"x": np.ones_like(nan), "t": nan})["y"]).all(),
                          "NaN became a number")
        for name, (_, reference_op) in SCALED.items():
            report.close("%s %s" % (variant, name), model.run(name, {"x": points})["y"], reference_op(points.astype(float)), 1e-6)
        for name, (_, oracle) in USER.items():
            for batch, seq in ((1, 1), (3, 41)):
                x, y = (np.random.default_rng(seq + i).standard_normal((batch, seq, 13)).astype(np.float32) for i in range(2))
                v = np.linspace(-2, 2, 13).astype(np.float32)
                report.close("%s user-written %s %dx%d" % (variant, name, batch, seq), model.run("user_" + name, {"x": x, "y": y, "v": v})["r"],
                             oracle(x.astype(np.float64), y.astype(np.float64), v.astype(np.float64)), 1e-6)
report.finish()
