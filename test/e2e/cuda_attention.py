# REQUIRES: cuda-emulator
# UNSUPPORTED: asan
# RUN: env ATTN_TEST_TARGET=cuda %python %s
# RUN: env ATTN_TEST_TARGET=cuda ATTN_EMULATOR_CC=80 %python %s
"""Attention with 16-bit keys on tensor cores, emulated: head dims, types of query and cache, masks, infinity and NaN in values."""
import numpy as np

import model_file as mf
from attention_cache import Cached
from attention_case import compiled
from harness import Model, Report

np.seterr(invalid="ignore")  # inf - inf
report = Report("cuda attention")
random = report.random
table = [dict(cache=kind, types=types, **options) for kind in ("bf16", "f16") for types in (kind, "f32") for options in [
    dict(heads=4, head_dim=64, causal=True, kv_heads=2, lse=True), dict(heads=3, head_dim=13), dict(heads=1, head_dim=256, causal=True),
    dict(heads=4, head_dim=80, kv_heads=1, soft_cap=5.0, window_left=20, sinks=3, causal=True)]]
table += [dict(cache="bf16", types="bf16", **options) for options in [
    dict(heads=2, head_dim=1, head_dim_v=17), dict(heads=1, head_dim=128, causal=True), dict(heads=1, head_dim=192), dict(heads=2, head_dim=96),
    dict(heads=2, head_dim=8, operands=("key_mask",), masked_rows="mean"),
    dict(heads=2, head_dim=8, regions=("alibi by hand",), operands=("sink_logits",), masked_rows="trax", causal=True)]]

# One row of a tile and many, and warps that have tiles of their own, of which some see nothing.
LONG = dict(head_dim=16, causal=True)
long = [dict(LONG, heads=4, kv_heads=2, cache="bf16", types="f32", lse=True), dict(LONG, heads=6, kv_heads=1, cache="f16", types="f16"),
        dict(LONG, heads=1, cache="bf16", types="bf16", window_left=70, sinks=3)]
INFINITE = [(5, 0, np.inf), (9, 1, np.nan), (12, 2, -np.inf), (20, 3, np.inf), (22, 3, -np.inf)]  # key, column, value


def check_infinite(cached, label):
    """Rows that see none of INFINITE, some and all of it, beside the same without."""
    case, head_dim = cached.case, cached.case.head_dim
    tokens, shared = case.tokens, cached.shared(1, 192)
    for seq in (70, 1):
        start = 0 if cached.rows[0] is None else len(cached.rows[0][0])

        def with_infinite(*arguments):
            given = tokens(*arguments)
            for key, column, value in INFINITE if not start else ():
                given["value"][:, key, column] = value
            return given

        case.tokens = with_infinite
        given, got = cached.step(shared, seq, [0])
        case.tokens = tokens
        kept, cached.rows[0][1] = cached.rows[0][1], np.where(np.isfinite(cached.rows[0][1]), cached.rows[0][1], 0)
        expected = cached.expected(given, [0])["out"].reshape(seq, -1, head_dim)
        cached.rows[0][1] = kept
        for key, column, value in INFINITE:
            expected[max(0, key - start):, :, column] += value
        out, finite = got["out"].reshape(seq, -1, head_dim), np.isfinite(expected)
        kinds = lambda a: np.where(np.isnan(a), 0, np.sign(a)).astype(int)[~finite]  # a NaN has no bits of its own
        report.equal("%s: infinite, %d rows" % (label, seq), kinds(out), kinds(expected))
        report.expect("%s: infinite, %d rows: nothing else" % (label, seq), not np.isfinite(out[~finite]).any(), "got %s" % out[~finite])
        report.close("%s: beside infinity, %d rows" % (label, seq), out[finite], expected[finite], 2.0 ** (-8 if "bf16" in case.types else -11 if "f16" in case.types else -16))


for path, cases in compiled(report, [dict(LONG, heads=2, kv_heads=1, cache=cache, types=types) for cache in ("bf16", "f16") for types in (cache, "f32")]):
    with Model(path) as model:
        for case in cases:
            check_infinite(Cached(random, model, case, 1, 192), case.label)
def check_grouping(cached, label):
    """8 tokens at once and one by one: the same bits, as prompt lookup promises."""
    case, shared = cached.case, cached.shared(1, 400)
    cached.step(shared, 70, [0])
    tokens = case.typed(case.tokens(random, 1, 8, 8))
    whole = case.run(model, {**tokens, **shared}, cached.state, [0])["out"]
    cached.state.op(mf.TRUNCATE, 0, 70)
    single = [case.run(model, {**{n: a[:, i : i + 1] for n, a in tokens.items()}, **shared}, cached.state, [0])["out"] for i in range(8)]
    report.equal(label + ": 8 tokens one by one", np.concatenate(single, 1), whole)


for path, cases in compiled(report, long):
    with Model(path) as model:
        for case in cases:
            check_grouping(Cached(random, model, case, 1, 400), case.label)
            cached = Cached(random, model, case, 2, 400)
            shared = cached.shared(2, 400)
            for seq in (330, 1, 2, 17):
                cached.check(report, shared, seq, [0, 1], "long")
for path, cases in compiled(report, table):
    with Model(path) as model:
        for case in cases:
            for steps in [(1, 3, 1), (70, 1, 66)]:
                cached = Cached(random, model, case, 2, 192)
                shared = cached.shared(2, 192)
                for seq in steps:
                    cached.check(report, shared, seq, [0, 1], "steps of %s" % (steps,))
report.finish()
