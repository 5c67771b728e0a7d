# REQUIRES: cuda-emulator
# UNSUPPORTED: asan
# RUN: env ATTN_TEST_TARGET=cuda %python %s
"""Attention with 16-bit keys on tensor cores, emulated: head dims, types of query and cache, masks; NaN in hidden values."""
from attention_cache import Cached
from attention_case import compiled
from harness import Model, Report

report = Report("cuda attention")
random = report.random
table = [dict(cache=kind, types=types, **options) for kind in ("bf16", "f16") for types in (kind, "f32") for options in [
    dict(heads=4, head_dim=64, causal=True, kv_heads=2, lse=True), dict(heads=3, head_dim=13), dict(heads=1, head_dim=256, causal=True),
    dict(heads=4, head_dim=80, kv_heads=1, soft_cap=5.0, window_left=20, sinks=3, causal=True)]]
table += [dict(cache="bf16", types="bf16", **options) for options in [
    dict(heads=2, head_dim=1, head_dim_v=17), dict(heads=1, head_dim=128, causal=True), dict(heads=1, head_dim=192),
    dict(heads=2, head_dim=8, operands=("key_mask",), masked_rows="mean"),
    dict(heads=2, head_dim=8, regions=("alibi by hand",), operands=("sink_logits",), masked_rows="trax", causal=True)]]

for path, cases in compiled(report, table):
    with Model(path) as model:
        for case in cases:
            for steps in [(1, 3, 1), (70, 1, 66)]:
                cached = Cached(random, model, case, 2, 192)
                shared = cached.shared(2, 192)
                for seq in steps:
                    cached.check(report, shared, seq, [0, 1], "steps of %s" % (steps,))
report.finish()
