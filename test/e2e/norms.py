# RUN: %python %s
"""attn.layer_norm, attn.rms_norm and attn.l2_norm on their own, over widths around the vector sizes."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, number, tensor, tolerance
from reference import reference

report = Report("norms")
random = report.random
module, cases = Module(), []
for op, reference_op in (("layer_norm", reference.layer_norm), ("rms_norm", reference.rms_norm)):
    for width in (1, 2, 3, 8, 13, 16, 17, 31, 64, 65, 129, 768):
        for beta in (False, True):
            kind = ("f32", "bf16", "f16")[len(cases) % 3]
            name, epsilon = "f%d" % len(cases), (1e-5, 1e-3)[len(cases) % 2]
            names = [name + "_gamma"] + [name + "_beta"] * beta
            values = [module.weight(n, 1 + random.standard_normal(width), kind) for n in names]
            x = tensor(("?", "?", width))
            module.entry(name, [("x", x, ["batch", "seq"])], [("y", x, "%y")], "%%y = attn.%s %%x, %s {epsilon = %s} : (%s) -> %s" % (
                op, ", ".join("%" + n for n in names), number(epsilon), ", ".join([x] + [tensor((width,), kind)] * len(names)), x), weights=names)
            cases.append((op, reference_op, width, values, epsilon, name))
# Heads normalised one by one, and weights around 0.
grouped = []
for op, reference_op in (("layer_norm", reference.layer_norm), ("rms_norm", reference.rms_norm)):
    for groups, width in ((2, 1), (3, 8), (5, 13), (4, 64), (1, 37)):
        for unit_offset in (False, True):
            name, epsilon = "g%d" % len(grouped), 1e-6
            values = [module.weight(name + n, random.standard_normal(width)) for n in ("_gamma", "_beta")]
            x = tensor(("?", "?", groups * width))
            module.entry(name, [("x", x, ["batch", "seq"])], [("y", x, "%y")],
                         "%%y = attn.%s %%x, %%%s_gamma, %%%s_beta {epsilon = %s, groups = %d : i64%s} : (%s, %s, %s) -> %s" % (
                             op, name, name, number(epsilon), groups, ", unit_offset" * unit_offset, x, *[tensor((width,))] * 2, x),
                         weights=[name + "_gamma", name + "_beta"])
            grouped.append((op, reference_op, groups, width, unit_offset, values, epsilon, name))
L2_WIDTHS = (1, 5, 16, 31, 64, 384)
for width in L2_WIDTHS:
    x = tensor(("?", width))
    module.entry("l2_%d" % width, [("x", x, ["batch"])], [("y", x, "%y")], "%%y = attn.l2_norm %%x : (%s) -> %s" % (x, x))
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for op, reference_op, width, values, epsilon, name in cases:
            for batch, seq, centre in [(1, 1, 0), (3, 5, 0), (2, 65, 100)]:
                x = (centre + random.standard_normal((batch, seq, width))).astype(np.float32)
                # Subtracting a mean of 100 from numbers near 100 costs digits that no f32 program has.
                limit = tolerance(width) * (60 if centre else 1)
                report.close("%s %s width %d, %dx%d around %d" % (variant, op, width, batch, seq, centre),
                             model.run(name, {"x": x})["y"], reference_op(x, *values, epsilon=epsilon) if len(values) == 2
                             else reference_op(x, values[0], None, epsilon), limit)
        for op, reference_op, groups, width, unit_offset, values, epsilon, name in grouped:
            x = random.standard_normal((3, 7, groups * width)).astype(np.float32)
            report.close("%s %s %d groups of %d" % (variant, op, groups, width), model.run(name, {"x": x})["y"],
                         reference_op(x, *values, epsilon=epsilon, groups=groups, unit_offset=unit_offset), tolerance(width))
        for width in L2_WIDTHS:
            x = random.standard_normal((19, width)).astype(np.float32) * 10.0 ** random.integers(-9, 9, (19, 1)).astype(np.float32)
            x[3] = 0
            report.close("%s l2_norm width %d" % (variant, width), model.run("l2_%d" % width, {"x": x})["y"],
                         reference.l2_norm(x), tolerance(width))
report.finish()
