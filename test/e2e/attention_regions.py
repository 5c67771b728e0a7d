# RUN: %python %s
"""Regions: every one of score_regions.py alone and joined with attributes, on many shapes."""
import numpy as np

from attention_case import compiled, some
from harness import Model, Report, each_variant
from score_regions import REGIONS, of_kind

report = Report("attention regions")
random = report.random
SQUARE = [(1, 1, 1), (3, 17, 17), (1, 64, 64), (2, 65, 65), (2, 140, 140), (1, 600, 600)]
CROSS = [(2, 1, 70), (2, 5, 0), (1, 3, 1100), (1, 70, 130)]

alone = [dict(regions=(name,), lse=number % 2 == 0, causal=number % 3 == 0 and REGIONS[name].kind != "mask", rank=3 + (number % 4 == 3))
         for number, name in enumerate(REGIONS)]
joined = [dict(options, lse=True) for options in [
    dict(regions=("alibi by hand", "soft cap by hand")), dict(regions=("soft cap by hand", "dense"), soft_cap=4.0, causal=True),
    dict(regions=("causal by hand", "documents by hand"), operands=("alibi",)), dict(regions=("documents by hand", "dilated", "noop")),
    dict(regions=("quadratic", "blocks", "threshold"), window_left=100), dict(regions=("distance", "window by hand"), operands=("key_mask",)),
    dict(regions=("prefix by hand",), operands=("bias", "sink_logits"), bias_shape=("heads", "seq", "keys")),
    dict(regions=("by head",), masked_rows="mean"), dict(regions=("alternate", "key flags"), masked_rows="trax", operands=("kv_len",)),
    dict(regions=("per query", "head factor"), operands=("relative",), causal=True, window_left=3, sinks=1),
    dict(regions=("gathered flags", "gather", "dropout"), operands=("prefix",)), dict(regions=("block table", "dense", "head factor")),
    # The same as an attribute says: their bits need not agree, their values do.
    dict(regions=("causal by hand",), operands=("documents",)), dict(regions=("relative by hand",), operands=("relative",))]]
shifted = [dict(options, cross=True) for options in [
    dict(regions=("causal by hand",), offset=60), dict(regions=("causal by hand",), bottom_right=True), dict(regions=("alibi by hand",), offset=-40),
    dict(regions=("dense",), offset=7), dict(regions=("window by hand",), offset=-3), dict(regions=("by head",), bottom_right=True, operands=("kv_len",)),
    dict(regions=("dilated",), offset=2), dict(regions=("per key", "key flags")), dict(regions=("diagonal",), bottom_right=True, offset=-1),
    # What causal hides is not read: positions below 0 have no row in `dense`.
    dict(regions=("dense",), offset=-9, causal=True), dict(regions=("documents by hand",), offset=-70, causal=True, window_left=3)]]
sizes = [dict(heads=6, head_dim=16, kv_heads=2), dict(heads=1, head_dim=1), dict(heads=3, head_dim=80, head_dim_v=24), dict(heads=5, head_dim=13, kv_heads=1)]

for shapes, table in ((SQUARE, alone + joined), (CROSS, shifted)):
    for path, cases in compiled(report, [dict(sizes[n % 4], **config) for n, config in enumerate(table)]):
        for variant in each_variant(path):
            with Model(path, variant) as model:
                for number, case in enumerate(cases):
                    for batch, queries, keys in some(shapes, number):
                        given = case.inputs(random, batch, queries, keys)
                        got = case.check(report, model, given)
                        if queries in (65, 70):
                            case.check_poison(report, model, given, got, random)
                            case.check_alone(report, model, given, got)
                            case.check_strided(report, model, given, got)
                        if queries == 140 and number % 4 == 0:
                            case.check_schedules(report, path, model, given, got)

# Hidden pairs are not read, wherever they point: keys from 64 on, and all rows but the first of a batch.
for path, (case,) in compiled(report, [dict(heads=2, head_dim=8, cross=True, operands=("kv_len",), regions=("per key", "key flags"))]):
    with Model(path) as model:
        for valid in (0, 1, 63, 64, 65):
            given = dict(case.inputs(random, 2, 3, 200), kv_len=np.array([valid, min(valid, 1)], np.int32))
            case.check(report, model, dict(given, by_key=given["by_key"][:valid].copy(), flags=given["flags"][:, :valid].copy()), " kv_len %d" % valid)

kinds = {kind: len(of_kind(kind)) for kind in ("score", "mask", "prob")}
print("regions: %s" % kinds)
report.finish()
