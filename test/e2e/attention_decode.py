# RUN: %python %s
# UNSUPPORTED: asan
# (minutes of numbers, which the release build checks; other tests compile the same forms with the sanitizers)
"""Attention over the cache: element types, many past lengths in one batch, windows, biases and regions; decode against forward."""
import numpy as np

import model_file as mf
from attention_cache import Cached
from attention_case import FULL, compiled
from harness import Model, Report, State, each_variant

report = Report("attention decode")
random = report.random
# Tokens in the cache before the runs that are checked; blocks are of 512 keys, pages of 64.
PAST = [[0, 1, 5], [63, 64, 65], [510, 511, 512], [513, 7, 1025], [3000, 0, 2047]]


table = [dict(options, cache=kind, lse=True) for kind in ("f32", "bf16", "f16") for options in [
    dict(causal=True), dict(causal=True, window_left=100), dict(causal=True, operands=("alibi", "sink_logits"))]]
table += [dict(options, cache="f32") for options in [
    dict(), dict(causal=True, window_left=5), dict(causal=True, window_left=64, sinks=4, lse=True), dict(causal=True, soft_cap=3.0),
    dict(causal=True, operands=("relative",), lse=True), dict(causal=True, operands=("key_mask",)), dict(causal=True, operands=("kv_len",)),
    dict(operands=("documents",), causal=True), dict(operands=("prefix",)), dict(causal=True, types=("bf16", "bf16", "f32", "bf16")),
    dict(causal=True, masked_rows="mean", operands=("key_mask",)), dict(causal=True, scale=1.0, operands=("sink_logits",), window_left=600),
    dict(regions=("noop",), causal=True, lse=True), dict(regions=("alibi by hand", "causal by hand")), dict(regions=("documents by hand",), causal=True),
    dict(regions=("soft cap by hand", "window by hand")), dict(regions=("per key", "dilated"), causal=True), dict(regions=("distance", "block table"), causal=True),
    dict(regions=("prefix by hand", "head factor")), dict(regions=("threshold",), causal=True), dict(regions=("per query",), causal=True, window_left=9)]]
SIZES = [dict(heads=4, head_dim=16, kv_heads=2), dict(heads=8, head_dim=16, kv_heads=2), dict(heads=2, head_dim=16), dict(heads=6, head_dim=16, kv_heads=1)]

# A file has one type of cache: one module for each number of kv heads and element type.
groups = {}
for number, config in enumerate(table):
    config = dict(SIZES[number % 4], **config)
    groups.setdefault((config["cache"], config.get("kv_heads", config["heads"])), []).append(config)
for number, configs in enumerate(groups.values()):
    for path, cases in compiled(report, configs):
        for variant in each_variant(path):
            with Model(path, variant) as model:
                for turn, case in enumerate(cases):
                    for past in PAST if FULL or turn == 0 else PAST[turn % 4 :: 2]:
                        cached = Cached(random, model, case, 4, max(past) + 80, (0, 64, 192)[(turn + number) % 3])
                        cached.fill(past)
                        slots, shared = [int(s) for s in random.permutation(3)], cached.shared(3, max(past) + 80)
                        for seq in (1, 1, 3, 64, 1):  # decode, a few drafts, a page of a prompt
                            cached.check(report, shared, seq, slots, "past %s" % past)
                        cached.state.close()


def forward_and_decode(config, length):
    """A sequence in one run without a cache, in one run with, and token by token: the same bits."""
    configs = [dict(config, cache="f32"), dict(config)]
    for path, cases in compiled(report, configs):
        if len(cases) < 2:
            continue
        case, plain = cases
        for variant in each_variant(path):
            with Model(path, variant) as model:
                whole = Cached(random, model, case, 1, length)
                given, prefill = whole.step(whole.shared(1, length), length, [0])
                forward = plain.run(model, given)
                single, parts = State(model, 1, length), []
                tokens = ("query", "key", "value")
                cut = max(0, length - 70)
                for begin, end in [(0, cut)] * (cut > 0) + [(t, t + 1) for t in range(cut, length)]:
                    parts.append(case.run(model, {n: a[:, begin:end] if n in tokens else a for n, a in given.items()}, single, [0]))
                label = "%s %s S%d " % (variant, case.label, length)
                for name, axis in (("out", 1), ("lse", 2)):
                    steps = np.concatenate([part[name] for part in parts], axis)
                    report.equal(label + name + " prefill against forward", prefill[name], forward[name])
                    report.equal(label + name + " decode against forward", steps, forward[name])
                for state in (whole.state, single):
                    state.close()


for length in (3, 65, 580, 1100):
    forward_and_decode(dict(heads=4, head_dim=16, kv_heads=2, causal=True, lse=True), length)
for number, options in enumerate([dict(window_left=70), dict(window_left=3, sinks=2), dict(operands=("alibi",)), dict(operands=("sink_logits",), soft_cap=2.0),
                                  dict(regions=("documents by hand",)), dict(regions=("alibi by hand", "by head"))]):
    forward_and_decode(dict(SIZES[number % 4], causal=True, lse=True, **options), 600)


# A row's bits do not depend on the batch it is in, on the pages, or on how tasks are scheduled.
for path, (case,) in compiled(report, [dict(heads=8, head_dim=16, kv_heads=2, causal=True, cache="f32", lse=True)]):
    for variant in each_variant(path):
        past, results, every = [700, 3, 64, 1500], {}, [0, 1, 2, 3]
        for label, workers, schedule, page in [("serial", 1, None, 64), ("pages of 256", 1, None, 256), ("row by row", 1, None, 0),
                                               ("a server's pages", 1, None, 64), ("threads", 2, "threads", 64), ("shuffled", 5, "shuffle", 128)]:
            with Model(path, variant, workers=workers, schedule=schedule) as model:
                # The same tokens each time.
                cached = Cached(np.random.default_rng(77), model, case, 4, 1600, page, pool="server" in label)
                cached.fill(past)
                given, got = cached.step({}, 2, every)
                if label == "row by row":  # in another order
                    for slot, length in enumerate(past):
                        cached.state.op(mf.TRUNCATE, slot, length)
                    parts = {slot: case.run(model, {n: a[slot : slot + 1] for n, a in given.items()}, cached.state, [slot]) for slot in (3, 1, 0, 2)}
                    got = {n: np.concatenate([parts[slot][n] for slot in every]) for n in got}
                results[label] = got
                cached.state.close()
        for label, got in results.items():
            for name in got:
                report.equal("%s %s %s %s" % (variant, case.label, label, name), got[name], results["serial"][name])

# NaN that a truncated token left behind does not show; kv_len beyond a row's keys is an error.
for path, (case,) in compiled(report, [dict(heads=2, head_dim=16, causal=True, cache="f32", lse=True)]):
    for variant in each_variant(path):
        with Model(path, variant) as model:
            whole = Cached(random, model, case, 1, 200)
            given, clean = whole.step({}, 70, [0])
            state = State(model, 1, 200)
            dirty = {n: a if n == "query" else np.where(np.arange(70)[:, None] < 40, a, np.nan).astype(np.float32) for n, a in given.items()}
            case.run(model, dirty, state, [0])
            state.op(mf.TRUNCATE, 0, 40)
            for begin, end in ((40, 41), (41, 70)):
                got = case.run(model, {n: a[:, begin:end] for n, a in given.items()}, state, [0])
                report.equal("%s NaN in truncated tokens, %d to %d" % (variant, begin, end), got["out"], clean["out"][:, begin:end])
            for each in (state, whole.state):
                each.close()
for path, (case,) in compiled(report, [dict(heads=2, head_dim=16, causal=True, cache="f32", operands=("kv_len",))]):
    for variant in each_variant(path):
        with Model(path, variant) as model:
            cached = Cached(random, model, case, 2, 200)
            cached.fill([70, 5])
            step = case.typed(case.tokens(random, 2, 1, 1))
            for length in ([72, 3], [71, 7], [-1, 6], [71, 2**31 - 1]):
                report.status("%s kv_len %s of 71 and 6 cached keys" % (variant, length), mf.RANGE, case.run, model,
                              dict(step, kv_len=np.array(length, np.int32)), cached.state, [0, 1])
            report.expect(variant + " lengths after a refusal", [cached.state.length(n) for n in (0, 1)] == [70, 5], "lengths changed")
            cached.state.close()
report.finish()
