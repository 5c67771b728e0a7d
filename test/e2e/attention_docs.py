# RUN: %python %s
"""Compiles and runs every example of docs/attention.md, and compares it with what the page says it is."""
import os
import re

import numpy as np

from harness import SOURCE, CompileError, Model, Report, State, compile_module, each_variant, tolerance
from reference.attention import attention, packed, ragged
from reference.relative_bias import relative_bias

report = Report("attention docs")
random = report.random
with open(os.path.join(SOURCE, "docs", "attention.md"), encoding="utf-8") as file:
    BLOCKS = [block for block in re.findall(r"^```mlir\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL) if "func.func" in block]

# What an example computes, from its arguments by their names on the page; `naive` is the type to compute in. A list if it has
# several results. `x` is query, key and value.
SELF = lambda x, **options: packed(x, x, x, 4, **options)
EXAMPLES = {
    "plain": lambda naive, q, k, v: packed(q, k, v, 4, dtype=naive),
    "split_heads": lambda naive, q4, k4, v4: attention(q4, k4, v4, dtype=naive),
    "grouped": lambda naive, q, k2, v2: packed(q, k2, v2, 4, 2, dtype=naive),
    "half": lambda naive, qh, kh, vh: packed(qh, kh, vh, 4, dtype=naive),
    "bottom_right": lambda naive, q, k, v: packed(q, k, v, 4, causal=True, bottom_right=True, dtype=naive),
    "causal": lambda naive, x: SELF(x, causal=True, dtype=naive),
    "window": lambda naive, x: SELF(x, window_left=9, window_right=2, dtype=naive),
    "sinks": lambda naive, x: SELF(x, causal=True, window_left=9, sinks=4, dtype=naive),
    "lengths": lambda naive, q, k, v, len: packed(q, k, v, 4, kv_len=len, dtype=naive),
    "key_mask": lambda naive, q, k, v, mask: packed(q, k, v, 4, key_mask=mask, dtype=naive),
    "dense": lambda naive, q, k, v, keep: packed(q, k, v, 4, bias=keep, dtype=naive),
    "prefix": lambda naive, x, n: SELF(x, prefix=n, dtype=naive),
    "documents": lambda naive, x, ids: SELF(x, causal=True, documents=ids, dtype=naive),
    "ragged": lambda naive, rows, offsets: ragged(rows, rows, rows, offsets, 4, causal=True, dtype=naive),
    "alibi": lambda naive, x, slopes: SELF(x, causal=True, alibi=slopes, dtype=naive),
    "relative": lambda naive, x, buckets: SELF(x, relative=relative_bias(buckets, True, 128), scale=1, dtype=naive),
    "bias": lambda naive, q, k, v, bias: packed(q, k, v, 4, bias=bias, dtype=naive),
    "soft_cap": lambda naive, x: SELF(x, causal=True, soft_cap=5, dtype=naive),
    "sink_logits": lambda naive, x, logits: SELF(x, causal=True, sink_logits=logits, dtype=naive),
    "score": lambda naive, x, slopes: SELF(x, causal=True, alibi=slopes, dtype=naive),
    "mask": lambda naive, x: SELF(x, mask_mod=lambda b, h, i, j: (i // 64 == j // 64) | (j % 4 == 0), dtype=naive),
    "prob": lambda naive, x, thresholds: SELF(
        x, prob_mod=lambda p, b, h, i, j: np.where(p >= np.asarray(thresholds)[h], p, 0), dtype=naive),
    "together": lambda naive, x, slopes, levels, gains: SELF(
        x, causal=True, alibi=slopes, score_mod=lambda s, b, h, i, j: s * gains[j].astype(naive),
        mask_mod=lambda b, h, i, j: levels[b, i] >= levels[b, j], prob_mod=lambda p, b, h, i, j: np.sqrt(p), dtype=naive),
    "lse": lambda naive, q, k, v: packed(q, k, v, 4, results=("out", "lse"), dtype=naive),
    "scores": lambda naive, q, k, v: packed(q, k, v, 4, causal=True, results=("out", "softmax"), dtype=naive),
    "masked_rows": lambda naive, q, k, v, mask: packed(q, k, v, 4, key_mask=mask, masked_rows="mean", dtype=naive),
    "cached": lambda naive, q, k2, v2: packed(q, k2, v2, 4, 2, causal=True, dtype=naive),
}


def make(name, kind, batch, queries, keys):
    """A random argument of that name on the page, and type."""
    def normal(*shape):
        return random.standard_normal(shape).astype(np.float16 if kind.endswith("f16>") else np.float32)

    sizes = [int(d) if d.isdigit() else d for d in kind[len("tensor<"):].split("x")[:-1]]
    if name == "len":
        return random.integers(0, keys + 1, batch).astype(np.int32)
    if name == "mask":
        given = random.integers(0, 3, (batch, keys))
        given[0] = 0  # a row of the batch in which nothing is visible
        return given
    if name == "keep":
        return random.random((queries, keys)) < 0.7
    if name == "n":
        return random.integers(0, queries + 1, batch).astype(np.int32)
    if name == "ids":
        return np.sort(random.integers(0, 4, (batch, queries)), 1).astype(np.int32)
    if name == "levels":
        return random.integers(0, 3, (batch, queries))
    if name == "offsets":  # of `queries` rows; one sequence is empty
        return np.array([0, queries // 3, queries // 3, queries], np.int32)
    if name == "bias":
        return normal(4, queries, keys)
    if name == "gains":
        return normal(queries)
    if name == "thresholds":
        return np.array([0, 0.25, 0.5, 2], np.float32)  # few probabilities come near one of these
    seq = keys if name[0] in "kv" else queries
    return normal(*(batch if n == 0 and d == "?" else seq if d == "?" else d for n, d in enumerate(sizes)))


def check(path, name, signature):
    arguments = re.findall(r"%(\w+): ([^,{)]+)", signature)
    tensors = [(label, kind.strip()) for label, kind in arguments if kind.startswith("tensor")]
    entry = EXAMPLES[name]
    for variant in each_variant(path):
        with Model(path, variant) as model:
            for batch, queries, keys in [(1, 1, 1), (2, 17, 65), (3, 129, 40), (1, 200, 600)]:
                if name in ("cached",):
                    keys = queries
                given = {label: make(label, kind, batch, queries, keys) for label, kind in tensors}
                position = {label: number for number, (label, _) in enumerate(arguments)}
                inputs = {"arg%d" % position[label]: value for label, value in given.items()}
                state = State(model, batch, 1024) if len(tensors) != len(arguments) else None
                got = model.run(name, inputs, state=state)
                if state:
                    state.close()
                expected, naive = entry(np.float64, **given), entry(np.float32, **given)
                if not isinstance(expected, tuple):
                    expected, naive = (expected,), (naive,)
                length = given["offsets"][-1] if name == "ragged" else queries if "x" in given else keys
                limit = 1e-3 if name == "half" else tolerance(length)
                report.expect(name, len(got) == len(expected), "expected %d results, got %d" % (len(expected), len(got)))
                for number, (right, other) in enumerate(zip(expected, naive)):
                    label = "%s %s B%d Q%d K%d result %d" % (variant, name, batch, queries, keys, number)
                    report.close(label, got["out%d" % number], right, limit, other if number == 0 and name != "half" else None, floor=0.02)


found, refused = [], []
for block in BLOCKS:
    for name, signature in re.findall(r"func\.func @(\w+)\((.*?)\)\s*->", block):
        found.append(name)
        report.expect(name, name in EXAMPLES, "expected the example in the table of this file")
        if name not in EXAMPLES:
            continue
        try:
            path = compile_module(block)
        except CompileError as error:
            report.expect(name, error.not_lowered(), error)
            refused += [name] if error.not_lowered() else []
            continue
        check(path, name, signature)
report.expect("table", sorted(found) == sorted(EXAMPLES), "expected every row in docs/attention.md, missing %s" % sorted(set(EXAMPLES) - set(found)))
for name in refused:
    print("not yet lowered: " + name)
report.finish()
