# RUN: %python %s
# UNSUPPORTED: asan
"""--math=bf16: linears whose weights are bf16 round their input to bf16 in the variants that multiply pairs of bf16, and on a GPU."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, tensor, tolerance
from reference.safetensors import round_to

report = Report("bf16 math")
random = report.random
module, cases = Module(), []
for k, n in [(1, 1), (2, 17), (3, 16), (7, 33), (8, 64), (65, 100), (129, 40), (256, 64)]:
    for kind in ("bf16", "f32"):
        name = "f%d" % len(cases)
        weight = module.weight(name + "_w", random.standard_normal((k, n)), kind)
        types = tensor(("?", "?", k)), tensor((k, n), kind), tensor(("?", "?", n))
        module.entry(name, [("x", types[0], ["batch", "seq"])], [("y", types[2], "%y")],
                     "%%y = attn.linear %%x, %%%s_w : (%s, %s) -> %s" % (name, *types), weights=[name + "_w"])
        cases.append((name, k, n, kind, weight))

path = compile_module(module, "--math=bf16")
for variant in each_variant(path):
    pairs = variant.endswith("-bf16") or variant == "cuda"
    with Model(path, variant) as model:
        for name, k, n, kind, weight in cases:
            for batch, seq in [(1, 1), (1, 2), (2, 3), (1, 8), (3, 29)]:
                x = random.standard_normal((batch, seq, k)).astype(np.float32)
                label = "%s %s K=%d N=%d M=%dx%d" % (variant, kind, k, n, batch, seq)
                got = model.run(name, {"x": x})["y"]
                rounded = round_to(x, "bf16") if pairs and kind == "bf16" else x
                # Against the sizes of the summands: of few sums, all may cancel. Pairs may be added with one bit less.
                expected = rounded.astype(np.float64) @ weight.astype(np.float64)
                size = np.sqrt(np.square(rounded.astype(np.float64)) @ np.square(weight.astype(np.float64)))
                report.close(label, got / size, expected / size, tolerance(k) * (2 if pairs else 1), floor=1.0)
                for row in (0, seq - 1):
                    report.equal(label + " row %d alone" % row, model.run(name, {"x": x[:, row : row + 1]})["y"], got[:, row : row + 1])
report.finish()
