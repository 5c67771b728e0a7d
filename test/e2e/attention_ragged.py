# RUN: %python %s
"""Ragged batches: sequences end to end, with offsets; each gives what it gives alone, to the bit."""
import numpy as np

import model_file as mf
from attention_case import compiled
from harness import Model, Report, each_variant, tolerance

report = Report("attention ragged")
random = report.random
LENGTHS = [[1], [5], [1, 1, 1], [64, 1, 63], [65, 0, 2, 0, 130], [0, 3], [3, 0], [7] * 20, [600, 1, 40]]
KEYS = [[70], [0], [1, 0, 64], [65, 1, 0], [1, 3, 600, 0, 64], [5, 7], [0, 2], [9] * 20, [1, 520, 64]]

options = [dict(), dict(causal=True), dict(causal=True, window_left=5, sinks=1), dict(window_left=3, window_right=40), dict(soft_cap=3.0, id_type="i64"),
           dict(operands=("prefix",)), dict(operands=("prefix",), window_left=70, id_type="i64"), dict(operands=("alibi",), causal=True),
           dict(operands=("relative", "sink_logits")), dict(causal=True, offset=-2, masked_rows="mean"), dict(causal=True, offset=3),
           dict(regions=("alibi by hand", "dilated")), dict(regions=("prefix by hand",)), dict(regions=("causal by hand", "head factor")),
           dict(regions=("documents by hand",), causal=True), dict(regions=("per query", "key flags")), dict(regions=("dense",)),
           dict(types="bf16", causal=True), dict(masked_rows="trax", regions=("key flags",))]
sizes = [dict(heads=4, head_dim=13, kv_heads=2), dict(heads=2, head_dim=8), dict(heads=3, head_dim=64, head_dim_v=5), dict(heads=8, head_dim=16, kv_heads=1)]
table = [dict(sizes[n % 4], ragged=("rows", "keys")[n % 2], lse=n % 3 != 0, **o) for n, o in enumerate(options + options[:8])]


def check_alone(model, case, given, together):
    """Each sequence as a batch of its own."""
    queries, keys = given["ragged"], given.get("ragged_keys", given["ragged"])
    for n in range(len(queries) - 1):
        rows, own = slice(queries[n], queries[n + 1]), slice(keys[n], keys[n + 1])
        if rows.start == rows.stop or any(region.names_batch and not region.captures for region in case.regions):
            continue
        single = {name: a[n : n + 1] if name == "prefix" or case.per_row(name) else a for name, a in given.items()}
        single.update(query=given["query"][:, rows], key=given["key"][:, own], value=given["value"][:, own])
        single.update({name: given[name][n : n + 2] - given[name][n] for name in ("ragged", "ragged_keys") if name in given})
        got = case.run(model, single)
        label = "%s %s sequence %d of %d alone " % (model.variant, case.label, n, len(queries) - 1)
        report.equal(label + "out", got["out"], together["out"][:, rows])
        if case.lse:
            report.equal(label + "lse", got["lse"], together["lse"][:, :, rows])


for path, cases in compiled(report, table):
    for variant in each_variant(path):
        with Model(path, variant) as model:
            for case in cases:
                for lengths, others in zip(LENGTHS, KEYS):
                    given = case.ragged_inputs(random, lengths, others if case.ragged == "keys" else None)
                    got = case.run(model, given)
                    label = "%s %s %s keys %s" % (variant, case.label, lengths, others if case.ragged == "keys" else "the same")
                    case.compare(report, label, got, case.expected(given), case.expected(given, np.float32), max(lengths + others))
                    if len(lengths) in (3, 5):
                        check_alone(model, case, given, got)
                        case.check_schedules(report, path, model, given, got)
                    # NaN in one sequence stays in it.
                    if len(lengths) == 3 and case.ragged == "rows":
                        poisoned = {name: a.copy() for name, a in given.items()}
                        for name in ("query", "key", "value"):
                            poisoned[name][:, lengths[0] : lengths[0] + lengths[1]] = np.nan
                        others_got = case.run(model, poisoned)["out"]
                        clean = np.ones(sum(lengths), bool)
                        clean[lengths[0] : lengths[0] + lengths[1]] = False
                        report.equal(label + " NaN in sequence 1", others_got[:, clean], got["out"][:, clean])

# Offsets that descend, exceed the rows or leave some out: refused, nothing is read or written outside.
for path, cases in compiled(report, [dict(heads=2, head_dim=8, ragged=kind, causal=causal, id_type=ids)
                                     for kind in ("rows", "keys") for causal, ids in ((False, "i32"), (True, "i64"))]):
    for variant in each_variant(path):
        with Model(path, variant) as model:
            for case in cases:
                given = case.ragged_inputs(random, [3, 70, 2])
                for name in ("ragged", "ragged_keys")[: 1 + (case.ragged == "keys")]:
                    for offsets in ([0, 73, 3, 75], [0, 3, 73, 76], [0, 3, 73, 2**31 - 1], [-1, 3, 73, 75], [0, -3, 73, 75], [75, 73, 3, 0],
                                    [0, 3, 100, 75], [1, 3, 73, 75], [0, 3, 73, 74]):
                        label = "%s %s %s %s of 75 rows" % (variant, case.label, name, offsets)
                        report.status(label, mf.RANGE, case.run, model, dict(given, **{name: np.array(offsets, given[name].dtype)}))
                report.status(variant + " no offsets", mf.SHAPE, case.run, model, dict(given, ragged=given["ragged"][:0]))
                if case.ragged == "keys":
                    report.status(variant + " offsets of two lengths", mf.SHAPE, case.run, model, dict(given, ragged_keys=given["ragged_keys"][:3]))
                case.check_schedules(report, path, model, given, case.run(model, given))
for path, (case,) in compiled(report, [dict(heads=2, head_dim=8, ragged="rows", operands=("prefix",))]):
    with Model(path) as model:
        given = case.ragged_inputs(random, [3, 70, 2])
        report.status("a prefix too few", mf.RANGE, case.run, model, dict(given, prefix=given["prefix"][:2]))
report.finish()
