# RUN: %python %s
"""attn.pool: every kind, with padding on either side, holes, nothing visible, and no mask; hidden tokens are not read."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, tensor, tolerance
from reference import reference

report = Report("pool")
random = report.random
module = Module()
WIDTHS = (1, 13, 64, 129)
for width in WIDTHS:
    for kind in reference.POOLS:
        x, y, m = tensor(("?", "?", width)), tensor(("?", width)), tensor("??", "i64" if width % 2 else "i32")
        module.entry("%s%d" % (kind, width), [("x", x, ["batch", "seq"]), ("mask", m, ["batch", "seq"], True)], [("y", y, "%y")],
                     "%%y = attn.pool %s %%x mask %%mask : (%s, %s) -> %s" % (kind, x, m, y))
x, y = tensor(("?", "?", 13)), tensor(("?", 13))
module.entry("no_mask", [("x", x, ["batch", "seq"])], [("y", y, "%y")], "%%y = attn.pool mean %%x : (%s) -> %s" % (x, y))
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for batch, seq in [(1, 1), (5, 17), (3, 65)]:
            for width in WIDTHS:
                x = random.standard_normal((batch, seq, width)).astype(np.float32)
                at, length = np.arange(seq), random.integers(1, seq + 1, (batch, 1))
                masks = {"none": None, "right": at < length, "left": at >= seq - length, "holes": random.integers(0, 2, (batch, seq)),
                         "nothing": np.zeros((batch, seq))}
                for name, mask in masks.items():
                    for kind in reference.POOLS:
                        hidden = x.copy()
                        if mask is not None and kind != "first":
                            hidden[~mask.astype(bool)] = np.nan
                        inputs = {} if mask is None else {"mask": mask.astype(np.int64 if width % 2 else np.int32) * 3}
                        expected = reference.pool(x, kind, mask)
                        label = "%s %s %d, %dx%d, %s" % (variant, kind, width, batch, seq, name)
                        got = model.run("%s%d" % (kind, width), {"x": hidden, **inputs})["y"]
                        if kind in ("first", "last", "max"):
                            report.equal(label, got, expected.astype(np.float32))
                        else:
                            report.close(label, got, expected, tolerance(seq), floor=0.1)
        x = random.standard_normal((2, 9, 13)).astype(np.float32)
        report.close(variant + " without a mask operand", model.run("no_mask", {"x": x})["y"], x.mean(1, dtype=np.float64), 1e-6)
report.finish()
