# RUN: %python %s
"""Random attention: combinations of everything that is legal, on odd shapes, against the oracle.

18 entries in the default suite; ATTN_TEST_FULL=1 runs at least 2,000 cases (an entry on a shape) on all variants of this CPU.
ATTN_TEST_SEED=N varies them, ATTN_TEST_ONLY=N runs one module of a run alone.
"""
import os

import numpy as np

from attention_cache import Cached
from attention_case import FULL, compiled
from harness import SEED, Model, Report, each_variant
from score_regions import REGIONS, of_kind

MODULES, ENTRIES, SHAPES = (30, 16, 5) if FULL else (2, 9, 3)
ONLY = os.environ.get("ATTN_TEST_ONLY")
SIZES = [1, 2, 3, 5, 15, 16, 17, 31, 33, 47, 63, 64, 65, 100, 127, 128, 129, 191, 257, 511, 513, 700, 1025]
LAYOUTS = ["self", "self", "self", "cross", "cross", "ragged", "cache"]
report = Report("attention random")


def draw(random, layout, cache):
    """Arguments of a Case. cache: (element type, kv heads, head dims) of this module."""
    def chance(p):
        return random.random() < p

    def pick(values):
        return values[random.integers(len(values))]

    dim = pick([1, 2, 3, 7, 8, 13, 16, 17, 24, 32, 40, 64, 64, 80, 96, 128, 256])
    kv_heads = pick([1, 1, 2, 3, 4, 5])
    config = dict(head_dim=dim, head_dim_v=pick([dim, dim, dim, 1, 8, 13, 48, 64]), lse=chance(0.5))
    if layout == "cache":
        config.update(cache=cache[0], head_dim=cache[2], head_dim_v=cache[3])
        kv_heads = cache[1]
    config.update(heads=kv_heads * pick([1, 1, 2, 3, 4]), kv_heads=kv_heads, id_type=pick(["i32", "i64"]), mask_type=pick(["i32", "i64"]))
    if chance(0.3):
        half = pick(["bf16", "f16"])
        config["types"] = (half,) * 4 if chance(0.6) else tuple(pick(["f32", half]) for _ in range(4))
    if layout in ("self", "cross"):
        config.update(rank=pick([3, 4]), cross=layout == "cross")
    if layout == "ragged":
        config["ragged"] = pick(["rows", "keys"])
    # Attributes
    config.update({name: value for name, value, p in [
        ("causal", True, 0.45), ("window_left", pick([0, 1, 5, 40, 64, 100, 600]), 0.3), ("window_right", pick([0, 2, 30, 70]), 0.2), ("soft_cap", pick([1.0, 5.0, 30.0]), 0.2),
        ("scale", pick([0.0, 0.1, 0.5]), 0.15), ("masked_rows", pick(["mean", "trax"]), 0.2), ("offset", int(random.integers(-40, 40)), 0.2)] if chance(p)})
    if "window_left" in config and chance(0.4):
        config["sinks"] = pick([1, 4, 65])
    if layout in ("self", "cross") and chance(0.25):
        config["bottom_right"] = True
    if layout in ("self", "cross") and chance(0.15):
        config["scores"] = pick(["raw", "capped", "masked", "softmax"])
    # Operands
    every = ["sink_logits", "alibi", "relative", "prefix"]
    every += [] if layout == "ragged" else ["kv_len", "key_mask", "documents"]
    every += ["bias"] * (layout in ("self", "cross"))
    config["operands"] = [name for name in every if chance(0.15)]
    if "bias" in config["operands"]:
        config["bias"] = pick(["f32", "i1", "i1", "bf16"])
        config["bias_shape"] = [pick([1, d]) for d in ("batch", "heads", "seq", "keys")][random.integers(3) :]
    config["reach"] = pick([0, 1, 8, 70])
    # Regions; a threshold is undecided where the probabilities are not exact, and is left alone with the plain score.
    regions = [pick(of_kind(kind)) for kind, p in (("score", 0.3), ("score", 0.1), ("mask", 0.3), ("mask", 0.1), ("prob", 0.15)) if chance(p)]
    if "threshold" in regions:
        regions = ["threshold"] + [name for name in regions if REGIONS[name].kind == "mask"]
    config["regions"] = list(dict.fromkeys(regions))
    # What reads by the query's position needs one that exists: nothing before the first token, unless causal hides the row.
    documents = "documents" in config["operands"]
    if documents or any(REGIONS[name].reads_queries for name in config["regions"]):
        if config.get("offset", 0) < 0 or config.get("bottom_right"):
            config["causal"] = True
            config["operands"] = [name for name in config["operands"] if name != "prefix"]
        if documents and (layout != "self" or "kv_len" in config["operands"]) and not config.get("bottom_right") and layout != "cache":
            config["operands"].remove("documents")
        elif documents and config.get("offset", 0) > 0:
            config["offset"] = 0
    return config


def check(random, path, model, case):
    """One case: one shape."""
    def size(limit=1025):
        return int(random.choice([n for n in SIZES if n <= limit]))

    if case.ragged:
        count = int(random.integers(1, 6))
        lengths = [int(random.choice([0, 1, 2, 17, 63, 64, 65, 130])) for _ in range(count)]
        lengths[random.integers(count)] += 1  # no rows at all is no call
        keys = [int(random.choice([0, 1, 5, 64, 65, 200])) for _ in range(count)] if case.ragged == "keys" else None
        given = case.ragged_inputs(random, lengths, keys)
        got = case.run(model, given)
        case.compare(report, "%s %s %s keys %s" % (model.variant, case.label, lengths, keys), got, case.expected(given), case.expected(given, np.float32),
                     max(keys or lengths))
    elif case.cache:
        past = [int(random.choice([0, 1, 30, 63, 64, 65, 130, 511, 512, 600])) for _ in range(int(random.integers(1, 4)))]
        runs = [int(random.choice([1, 1, 2, 17, 65])) for _ in range(2)]
        cached = Cached(random, model, case, len(past) + 1, max(past) + sum(runs), int(random.choice([0, 64, 128])),
                        pool=random.random() < 0.4)
        cached.fill(past)
        shared = cached.shared(len(past), max(past) + sum(runs))
        for seq in runs:
            cached.check(report, shared, seq, [int(s) for s in random.permutation(len(past))], "past %s" % past)
        cached.state.close()
        return
    else:
        queries = size()
        keys = queries if not case.cross else 0 if random.random() < 0.05 else size()
        batch = int(random.integers(1, 4))
        while batch * case.heads * queries * keys > 1 << 21 and queries > 1:
            queries = size(queries // 2 + 1)
            keys = keys if case.cross else queries
        given = case.inputs(random, batch, queries, keys)
        if given.get("bias") is not None and case.bias != "i1" and random.random() < 0.4:
            given["bias"][random.random(given["bias"].shape) < 0.3] = -np.inf
        got = case.check(report, model, given)
        if keys and random.random() < 0.4 and not case.scores:
            case.check_poison(report, model, given, got, random)
        if random.random() < 0.3:
            case.check_alone(report, model, given, got)
        if random.random() < 0.3:
            case.check_strided(report, model, given, got)
    if random.random() < 0.15:
        case.check_schedules(report, path, model, given, got)


count = 0
for number in [int(ONLY)] if ONLY else range(MODULES):
    random = np.random.default_rng([SEED, number])
    cache = [(kind, kv_heads, dim, dim_v) for kind, kv_heads, dim, dim_v in
             [("f32", 2, 16, 16), ("bf16", 1, 13, 7), ("f16", 2, 64, 64), ("f32", 3, 8, 24), ("bf16", 4, 64, 64), ("f32", 1, 128, 128)]][number % 6]
    configs = [draw(random, LAYOUTS[entry % len(LAYOUTS)], cache) for entry in range(ENTRIES)]
    print("module %d (ATTN_TEST_SEED=%d ATTN_TEST_ONLY=%d)" % (number, SEED, number), flush=True)
    for path, cases in compiled(report, configs):
        for turn, variant in enumerate(each_variant(path)):
            with Model(path, variant) as model:
                for entry, case in enumerate(cases):
                    print("  %s %s: %s" % (variant, case.name, case.label), flush=True)  # the last one, when it crashes
                    for shape in range(SHAPES):
                        check(np.random.default_rng([SEED, number, entry, shape]), path, model, case)
                        count += turn == 0
print("attention random: %d cases" % count)
least = 2000 if FULL and not ONLY else 1
report.expect("cases", count >= least, "expected at least %d, got %d" % (least, count))
report.finish()
