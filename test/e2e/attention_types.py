# RUN: %python %s
# UNSUPPORTED: asan
# (minutes of numbers, which the release build checks; other tests compile the same forms with the sanitizers)
"""16-bit storage of query, key, value and out, each on its own; scores and softmax are in f32 all the same."""
import numpy as np

from attention_case import compiled
from harness import Model, Report, each_variant
from reference.safetensors import round_to

report = Report("attention types")
random = report.random
SQUARE = [(1, 1, 1), (2, 17, 17), (1, 64, 64), (2, 65, 65), (1, 530, 530)]

table = [dict(types=kind, **options) for kind in ("bf16", "f16") for options in [
    dict(heads=4, head_dim=64), dict(heads=3, head_dim=13, rank=4, causal=True), dict(heads=6, head_dim=16, kv_heads=2, causal=True, lse=True),
    dict(heads=2, head_dim=1, head_dim_v=17), dict(heads=4, head_dim=80, kv_heads=1, soft_cap=5.0, window_left=40, causal=True),
    dict(heads=2, head_dim=8, operands=("key_mask", "bias"), bias=kind, bias_shape=("heads", "seq", "keys")),
    dict(heads=2, head_dim=8, regions=("alibi by hand", "documents by hand"), scores="masked"), dict(heads=2, head_dim=256, rank=4)]]
# Every operand in a type of its own.
table += [dict(heads=4, head_dim=13, kv_heads=2, types=types, causal=True, lse=True) for types in (
    ("bf16", "f32", "f32", "f32"), ("f32", "bf16", "f32", "f32"), ("f32", "f32", "bf16", "f32"), ("f32", "f32", "f32", "bf16"),
    ("f16", "bf16", "f32", "f16"), ("f32", "f16", "f16", "f32"), ("bf16", "bf16", "bf16", "f32"), ("f32", "bf16", "f16", "bf16"), ("f64",) * 4)]

for path, cases in compiled(report, table):
    for variant in each_variant(path):
        with Model(path, variant) as model:
            for number, case in enumerate(cases):
                for batch, queries, keys in SQUARE:
                    given = case.inputs(random, batch, queries, keys)
                    got = case.check(report, model, given)
                    label = "%s %s Q%d" % (variant, case.label, queries)
                    kind = case.types[3]
                    if kind in ("bf16", "f16") and "soft_cap" not in case.options and not case.regions:
                        # The limit of semantics.md in its own words: twice the error of an implementation in that type.
                        naive = case.expected(given, np.float32, storage=kind)["out"]
                        report.close(label + " against naive " + kind, got["out"], case.expected(given)["out"], 1.0, naive, floor=0.02)
                    # A value of 16 bits is the same value in 32.
                    if kind != "f64":
                        report.equal(label + " out is " + kind, got["out"], round_to(got["out"], kind))
                    if queries == 65:
                        case.check_poison(report, model, given, got, random)
                        case.check_alone(report, model, given, got)
                        case.check_strided(report, model, given, got)
                        case.check_schedules(report, path, model, given, got)

# The largest values do not overflow on the way: f16 ends at 65504, a score of 100 · 100 · 8 does not.
for path, (case,) in compiled(report, [dict(heads=2, head_dim=8, types="f16", scale=1.0, lse=True)]):
    for variant in each_variant(path):
        with Model(path, variant) as model:
            given = {n: round_to(np.where(a > 0, 100, -100), "f16") if n != "value" else a for n, a in case.inputs(random, 1, 66, 66).items()}
            case.check(report, model, given, " large")
report.finish()
