# RUN: %python %s
# UNSUPPORTED: asan
# (minutes of numbers, which the release build checks; other tests compile the same forms with the sanitizers)
"""attn.attention without a cache: shapes, heads, causal, masks with holes, cross lengths, rows with nothing visible."""
import numpy as np

from attention_case import Case
from harness import Model, Module, Report, compile_module, each_variant

SEQUENCES = [1, 2, 17, 63, 64, 65, 129]
report = Report("attention")
random = report.random

# Self-attention: heads and head sizes that are no multiple of anything.
module = Module()
selves = [Case(module, heads, dim, causal=causal) for heads in (1, 13) for dim in (1, 8, 13, 64, 80) for causal in (False, True)]
selves += [Case(module, 4, 16, rank=4, causal=True), Case(module, 3, 13, rank=4),
           Case(module, 6, 8, kv_heads=2, causal=True), Case(module, 13, 64, kv_heads=1, causal=True),
           Case(module, 4, 13, kv_heads=2, rank=4), Case(module, 2, 8, head_dim_v=24), Case(module, 2, 64, head_dim_v=13, causal=True),
           Case(module, 6, 16, kv_heads=3, head_dim_v=1, causal=True), Case(module, 2, 8, lse=True, causal=True),
           Case(module, 3, 13, lse=True, rank=4), Case(module, 2, 8, scale=1.0), Case(module, 2, 8, scale=0.0, causal=True)]
masked = [Case(module, 2, 8, operands=("key_mask",), causal=causal, mask_type=kind)
          for causal in (False, True) for kind in ("i64", "i32")]
masked += [Case(module, 13, 64, operands=("key_mask",), causal=True),
           Case(module, 2, 8, operands=("key_mask",), causal=True, window_left=9, sinks=3), Case(module, 4, 13, kv_heads=2, operands=("key_mask",), lse=True)]
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in selves + masked:
            for number, seq in enumerate(SEQUENCES):
                given = case.inputs(random, 1 + number % 3, seq, seq)
                case.check(report, model, given)
        for case in masked:
            given = case.inputs(random, 2, 65, 65)
            # Left out and all ones are the same, to the bit.
            ones = model.run(case.name, dict(given, key_mask=np.ones_like(given["key_mask"])))
            absent = dict(given, key_mask=None)
            for name, value in case.check(report, model, absent, " no mask").items():
                report.equal("%s %s absent mask %s" % (variant, case.label, name), ones[name], value)
            # NaN and Inf in hidden keys and values stay there.
            hidden = given["key_mask"] == 0
            poisoned = {n: a.copy() for n, a in given.items()}
            for row, columns in enumerate(hidden):
                poisoned["key"][row, columns] = np.nan
                poisoned["value"][row, columns] = np.resize([np.nan, np.inf, -np.inf], poisoned["value"][row, columns].shape)
            clean, got = model.run(case.name, given), model.run(case.name, poisoned)
            for name in clean:
                report.equal("%s %s hidden NaN %s" % (variant, case.label, name), got[name], clean[name])

# Two lengths, no keys at all, and several blocks of 512 keys.
module = Module()
crosses = [Case(module, 2, 8, cross=True), Case(module, 13, 13, cross=True, operands=("key_mask",)),
           Case(module, 4, 64, kv_heads=2, cross=True, lse=True), Case(module, 2, 8, rank=4, cross=True, lse=True),
           Case(module, 2, 8, cross=True, causal=True), Case(module, 2, 8, cross=True, causal=True, offset=3, lse=True),
           Case(module, 2, 8, cross=True, causal=True, offset=-3, lse=True), Case(module, 1, 80, cross=True, causal=True, offset=600)]
path = compile_module(module)
LENGTHS = [(1, 1), (1, 17), (2, 65), (17, 2), (65, 64), (129, 1), (5, 0), (1, 512), (3, 513), (66, 1100)]
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in crosses:
            for queries, keys in LENGTHS:
                case.check(report, model, case.inputs(random, 1 + queries % 3, queries, keys))
        # Large scores: the running maximum grows block by block, and falls.
        for case in crosses[:4]:
            given = case.inputs(random, 1, 17, 1100)
            rise = np.linspace(0, 300, 1100).astype(np.float32)
            for slope, label in ((rise, " rising"), (rise[::-1], " falling")):
                axis = 1 if case.rank == 3 else 2
                shape = [1] * given["key"].ndim
                shape[axis] = -1
                loud = dict(given, query=np.abs(given["query"]) * 0.1, key=(given["key"] * 0.1 + slope.reshape(shape) * 0.1).astype(np.float32))
                # Scores near 1000 carry an error of their own, 1000 roundings of the exponent's argument.
                got, expected, naive = model.run(case.name, loud), case.expected(loud), case.expected(loud, np.float32)
                report.close("%s %s%s" % (variant, case.label, label), got["out"], expected["out"], 1e-4, naive["out"])

# A row's bits depend on nothing but its own sequence.
module = Module()
alone = [Case(module, 3, 13, causal=True), Case(module, 4, 64, kv_heads=2, causal=True, operands=("key_mask",))]
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in alone:
            given = case.inputs(random, 3, 130, 130)
            together = model.run(case.name, given)["out"]
            for row in range(3):
                single = model.run(case.name, {n: a[row : row + 1] for n, a in given.items()})["out"]
                report.equal("%s %s batch row %d" % (variant, case.label, row), together[row : row + 1], single)
            for length in (1, 2, 63, 64, 65, 129):
                short = model.run(case.name, {n: a[:, :length] for n, a in given.items()})["out"]
                report.equal("%s %s first %d of 130" % (variant, case.label, length), short, together[:, :length])
            for schedule, workers in (("shuffle", 4), ("threads", 2), ("threads", 5)):
                with Model(path, variant, workers=workers, schedule=schedule) as other:
                    report.equal("%s %s %s %d" % (variant, case.label, schedule, workers), other.run(case.name, given)["out"], together)
report.finish()
