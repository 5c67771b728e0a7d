# RUN: %python %s
"""attn.relative_bias: every distance of T5's buckets, of a parameter in each type and of an argument; and under attention."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, number, tensor, tolerance
from reference import attention as oracle
from reference.relative_bias import relative_bias

report = Report("relative bias")
random = report.random
module, cases = Module(), []
# T5 and MPNet, WavLM, and sizes that divide by nothing.
SIZES = [(32, 128, True), (32, 128, False), (320, 800, True), (64, 256, True), (10, 77, True), (5, 9, False), (4, 2, True), (2, 3, False)]
for buckets, distance, both in SIZES:
    for kind in ("f32", "bf16", "f16", None):
        heads, name = 1 + len(cases) % 12, "f%d" % len(cases)
        notes = " {%s}" % ", ".join(["bidirectional"] * both + ["max_distance = %d : i64" % distance])
        given, out = tensor((buckets, heads), kind or "f32"), tensor((heads, 2 * distance + 1))
        table = module.weight(name + "_table", random.standard_normal((buckets, heads)), kind) if kind else None
        names = [name + "_table"] if kind else []
        arguments = [("x", "tensor<?xf32>", ["n"])] if kind else [("table", given, [])]
        module.entry(name, arguments, [("bias", out, "%y")],
                     "%%y = attn.relative_bias %%%s%s : (%s) -> %s" % (names[0] if kind else "table", notes, given, out), weights=names)
        cases.append((name, table, buckets, distance, both, heads))
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for name, table, buckets, distance, both, heads in cases:
            given = {"x": np.zeros(1, np.float32)}
            values = table
            if table is None:
                values = random.standard_normal((buckets, heads)).astype(np.float32)
                given = {"table": values}
            report.equal("%s %d buckets to %d, %d heads" % (name, buckets, distance, heads), model.run(name, given)["bias"],
                         np.ascontiguousarray(relative_bias(values, both, distance)))

# T5's attention: no scale, the same biases in every layer.
heads, dim = 6, 13
module, x = Module(), tensor(("?", "?", heads * dim))
table = module.weight("table", random.standard_normal((32, heads)))
module.entry("encoder", [(n, x, ["batch", "seq"]) for n in ("query", "key", "value")], [("out", x, "%y")], """
    %%r = attn.relative_bias %%table {bidirectional} : (tensor<32x%dxf32>) -> tensor<%dx257xf32>
    %%y = attn.attention %%query, %%key, %%value relative %%r {num_heads = %d : i64, scale = %s} : (%s, %s, %s, tensor<%dx257xf32>) -> %s
    """ % (heads, heads, heads, number(1), x, x, x, heads, x), weights=["table"])
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for batch, seq in [(1, 1), (2, 17), (1, 129), (3, 300)]:
            given = {n: random.standard_normal((batch, seq, heads * dim)).astype(np.float32) * 0.5 for n in ("query", "key", "value")}
            expected, naive = (oracle.packed(*given.values(), heads, scale=1, relative=relative_bias(table, True), dtype=dtype)
                               for dtype in (np.float64, np.float32))
            report.close("%s B%d S%d" % (variant, batch, seq), model.run("encoder", given)["out"], expected, tolerance(seq), naive)
report.finish()
