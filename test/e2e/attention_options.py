# RUN: %python %s
"""Attributes, operands and results of attn.attention, one by one and in pairs. What is not lowered yet is listed."""
import numpy as np

import model_file as mf
from attention_case import compiled, some
from harness import Model, Report, each_variant

report = Report("attention options")
random = report.random
SQUARE = [(1, 1, 1), (2, 2, 2), (3, 17, 17), (1, 64, 64), (2, 65, 65), (1, 129, 129), (2, 600, 600)]
CROSS = [(2, 1, 1), (1, 1, 70), (2, 5, 0), (3, 17, 2), (1, 66, 130), (2, 3, 1100), (1, 130, 66)]


def table():
    yield from (dict(options) for options in [
        dict(causal=True, window_left=5), dict(causal=True, window_left=64), dict(window_left=3, window_right=2), dict(window_right=0),
        dict(causal=True, window_left=4, sinks=2), dict(window_left=0, window_right=0, sinks=70), dict(causal=True, window_left=130, sinks=1),
        dict(window_right=3, causal=True), dict(window_left=0, causal=True),
        dict(soft_cap=2.5), dict(soft_cap=30.0, causal=True), dict(scale=-0.5), dict(scale=0.0, masked_rows="mean"),
        # Dense biases and masks of every shape that broadcasts
        dict(operands=("bias",)), dict(operands=("bias",), bias="i1"), dict(operands=("bias",), bias="bf16"), dict(operands=("bias",), bias="f16"),
        dict(operands=("bias",), bias_shape=("seq", "keys"), causal=True), dict(operands=("bias",), bias_shape=(1, "heads", "seq", "keys"), soft_cap=5.0),
        dict(operands=("bias",), bias_shape=("batch", 1, 1, "keys"), bias="i1"), dict(operands=("bias",), bias_shape=("seq", 1), bias="i1"),
        dict(operands=("bias",), bias_shape=("heads", 1, 1)), dict(operands=("bias",), bias_shape=("heads", 1, "keys"), window_left=9),
        # Masks of keys
        dict(operands=("key_mask",), window_left=20), dict(operands=("kv_len",)), dict(operands=("kv_len",), causal=True),
        dict(operands=("kv_len", "key_mask"), id_type="i64"), dict(operands=("kv_len", "bias"), bias="i1"),
        dict(operands=("prefix",)), dict(operands=("prefix",), causal=True), dict(operands=("prefix", "kv_len"), id_type="i64"),
        dict(operands=("prefix",), window_left=7, sinks=1),
        dict(operands=("documents",)), dict(operands=("documents",), causal=True), dict(operands=("documents", "key_mask"), id_type="i64"),
        dict(operands=("documents", "prefix"), causal=True), dict(operands=("documents",), window_left=5, sinks=3),
        # Biases that depend on the distance, and a logit without a value
        dict(operands=("alibi",)), dict(operands=("alibi",), causal=True), dict(operands=("relative",)), dict(operands=("relative",), reach=0),
        dict(operands=("relative",), reach=70, causal=True), dict(operands=("alibi", "relative", "bias"), soft_cap=3.0),
        dict(operands=("sink_logits",)), dict(operands=("sink_logits",), causal=True, window_left=3), dict(operands=("sink_logits", "key_mask")),
        # Rows with nothing visible
        *(dict(masked_rows=rows, **options) for rows in ("zero", "mean", "trax") for options in (
            dict(operands=("key_mask",)), dict(causal=True, offset=-3), dict(operands=("kv_len",)), dict(operands=("kv_len",), causal=True, offset=-5),
            dict(operands=("bias",), bias="i1", bias_shape=("batch", 1, "seq", "keys")), dict(window_left=2, window_right=0, offset=-20),
            dict(operands=("key_mask", "documents")), dict(regions=("never",)))),
    ])
    for point in ("raw", "capped", "masked", "softmax"):
        yield from (dict(scores=point), dict(scores=point, causal=True, soft_cap=2.0), dict(scores=point, rank=4, operands=("key_mask",)),
                    dict(scores=point, operands=("bias", "sink_logits"), window_left=5, regions=("quadratic", "head factor")))


def cross_table():
    yield from (dict(options, cross=True) for options in [
        dict(causal=True, bottom_right=True), dict(causal=True, bottom_right=True, offset=-2), dict(causal=True, bottom_right=True, operands=("kv_len",)),
        dict(window_left=4, window_right=1, bottom_right=True), dict(causal=True, bottom_right=True, masked_rows="mean"),
        dict(bottom_right=True, operands=("alibi",), causal=True), dict(bottom_right=True, operands=("relative",)),
        dict(bottom_right=True, causal=True, window_left=3, sinks=2, operands=("kv_len", "sink_logits"), id_type="i64"),
        dict(operands=("alibi",), offset=40), dict(operands=("relative",), offset=-30), dict(operands=("prefix",), offset=4),
        dict(operands=("bias",), bias_shape=("seq", "keys")), dict(operands=("bias", "kv_len"), bias="i1", masked_rows="trax"),
        dict(scores="masked", bottom_right=True, causal=True), dict(scores="softmax", operands=("kv_len",)), dict(sinks=3, window_left=600, causal=True, offset=1000)])


# Every row lse too, and in both layouts by turns.
for cross, rows in ((False, table()), (True, cross_table())):
    configs = [dict({"rank": 3 + (number % 3 == 2)}, heads=4, head_dim=13, kv_heads=2, lse=True, **row) if "rank" not in row else
               dict(heads=4, head_dim=13, kv_heads=2, lse=True, **row) for number, row in enumerate(rows)]
    for path, cases in compiled(report, configs):
        for variant in each_variant(path):
            with Model(path, variant) as model:
                for number, case in enumerate(cases):
                    for batch, queries, keys in some(CROSS if cross else SQUARE, number):
                        case.check(report, model, case.inputs(random, batch, queries, keys))

# -inf in a float bias hides as false does: NaN behind it stays there.
for path, cases in compiled(report, [dict(heads=2, head_dim=8, operands=("bias",), bias_shape=shape, bias=kind, lse=True)
                                     for shape in (("seq", "keys"), ("batch", 1, 1, "keys"), ("heads", "seq", 1)) for kind in ("f32", "bf16")]):
    with Model(path) as model:
        for case in cases:
            for length in (1, 17, 130):
                given = case.inputs(random, 2, length, length)
                given["bias"][random.random(given["bias"].shape) < 0.4] = -np.inf
                case.check_poison(report, model, given, case.check(report, model, given, " -inf"), random)

# What is shorter or longer than allowed is refused.
for path, (case,) in compiled(report, [dict(heads=2, head_dim=8, operands=("documents",))]):
    with Model(path) as model:
        given = case.inputs(random, 2, 70, 70)
        report.status("documents shorter than the queries", mf.SHAPE, case.run, model, dict(given, documents=given["documents"][:, :69]))
for path, (case,) in compiled(report, [dict(heads=2, head_dim=8, cross=True, operands=("documents",))]):
    with Model(path) as model:
        given = case.inputs(random, 2, 70, 70)
        case.check(report, model, given)
        few = dict(given, key=given["key"][:, :69], value=given["value"][:, :69], documents=given["documents"][:, :69])
        report.status("more queries than documents", mf.RANGE, case.run, model, few)
for path, (case,) in compiled(report, [dict(heads=2, head_dim=8, cross=True, operands=("kv_len",))]):
    with Model(path) as model:
        given = case.inputs(random, 2, 3, 70)
        for lengths in ([71, 1], [70, -1], [1, 2**31 - 1]):
            report.status("kv_len %s of 70 keys" % lengths, mf.RANGE, case.run, model, dict(given, kv_len=np.array(lengths, np.int32)))
        report.status("kv_len for one of two rows", mf.SHAPE, case.run, model, dict(given, kv_len=given["kv_len"][:1]))
report.finish()
