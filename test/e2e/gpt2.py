# RUN: %python %s
"""The small GPT-2 directories of test/fixtures/gpt2: forward, prefill and decode against the float64 reference."""
import os

import numpy as np

import model_file as mf
from harness import SOURCE, Model, Report, State, compile_module, each_variant
from reference import gpt2
from reference.safetensors import round_to

LIMIT = 1e-5  # of logits, f32 arithmetic
CACHE_LIMIT = 1e-3  # with a cache of 16 bits
report = Report("gpt2")
random = report.random
FIXTURES = os.path.join(SOURCE, "test", "fixtures", "gpt2")


def check_forward(model, oracle, label):
    context, vocab = oracle.config["n_positions"], oracle.config["vocab_size"]
    for batch, seq in [(1, 1), (2, 2), (3, 17), (1, context)]:
        ids = random.integers(0, vocab, (batch, seq))
        report.close("%s forward %dx%d" % (label, batch, seq), model.run("forward", {"input_ids": ids})["logits"], oracle.forward(ids), LIMIT)
    ids = random.integers(0, vocab, (3, 17))
    # Right padding, left padding (its first rows see nothing), holes.
    mask = np.ones_like(ids)
    mask[0, 11:], mask[1, :5], mask[2] = 0, 0, random.integers(0, 2, 17)
    positions = np.maximum(np.cumsum(mask, 1) - 1, 0)
    got = model.run("forward", {"input_ids": ids, "attention_mask": mask, "position_ids": positions})["logits"]
    report.close(label + " forward masked", got, oracle.forward(ids, mask, positions), LIMIT)
    ones = model.run("forward", {"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"]
    report.equal(label + " mask of ones is no mask", ones, model.run("forward", {"input_ids": ids})["logits"])
    narrow = {name: array.astype(np.int32) for name, array in (("input_ids", ids), ("attention_mask", mask), ("position_ids", positions))}
    report.equal(label + " forward of int32", model.run("forward", narrow)["logits"], got)
    report.status(label + " id out of range", mf.RANGE, model.run, "forward", {"input_ids": ids + vocab})
    report.status(label + " negative id", mf.RANGE, model.run, "forward", {"input_ids": ids - vocab})
    report.status(label + " position out of range", mf.RANGE, model.run, "forward", {"input_ids": ids, "position_ids": ids * 0 + context})
    report.status(label + " longer than the context", mf.SHAPE, model.run, "forward", {"input_ids": np.zeros((1, context + 1), np.int64)})
    report.status(label + " mask of another shape", mf.SHAPE, model.run, "forward", {"input_ids": ids, "attention_mask": mask[:, 1:]})


def check_cached(model, oracle, label):
    context, vocab = oracle.config["n_positions"], oracle.config["vocab_size"]
    ids = random.integers(0, vocab, (2, context))
    expected = oracle.forward(ids)
    for first in (1, 2, 17, context):
        state = State(model, 2, context)
        got = model.run("prefill", {"input_ids": ids[:, :first]}, state)["logits"]
        report.close("%s prefill %d" % (label, first), got, expected[:, first - 1], LIMIT)
        for at in range(first, min(first + 6, context)):
            got = model.run("decode", {"input_ids": ids[:, at : at + 1]}, state)["logits"]
            report.close("%s decode %d after prefill %d" % (label, at, first), got, expected[:, at], LIMIT)
        state.close()
    state = State(model, 2, context)
    index = np.array([3, 0])
    got = model.run("prefill", {"input_ids": ids[:, :7], "logits_index": index}, state)["logits"]
    report.close(label + " logits_index", got, expected[[0, 1], index], LIMIT)
    state.op(mf.TRUNCATE, 0, 0)
    state.op(mf.TRUNCATE, 1, 0)
    narrow = model.run("prefill", {"input_ids": ids[:, :7].astype(np.int32), "logits_index": index.astype(np.int32)}, state)["logits"]
    report.equal(label + " prefill of int32", narrow, got)
    report.status(label + " logits_index out of range", mf.RANGE, model.run, "prefill", {"input_ids": ids[:, :2], "logits_index": index + 2}, state)
    report.expect(label + " length after a failed run", state.length(0) == 7, "expected 7, got %d" % state.length(0))
    # More tokens on top of those: prefill appends at any length.
    got = model.run("prefill", {"input_ids": ids[:, 7:12]}, state)["logits"]
    report.close(label + " second prefill", got, expected[:, 11], LIMIT)
    # A padded prompt: the mask covers what is in the cache too.
    state.op(mf.TRUNCATE, 0, 0)
    mask = np.ones((1, 9), np.int64)
    mask[0, :4] = 0
    positions = np.maximum(np.cumsum(mask, 1) - 1, 0)
    masked = oracle.forward(ids[:1, :9], mask, positions)
    got = model.run("prefill", {"input_ids": ids[:1, :8], "attention_mask": mask[:, :8], "position_ids": positions[:, :8]}, state)["logits"]
    report.close(label + " masked prefill", got, masked[:, 7], LIMIT)
    got = model.run("decode", {"input_ids": ids[:1, 8:9], "attention_mask": mask, "position_ids": positions[:, 8:]}, state)["logits"]
    report.close(label + " masked decode", got, masked[:, 8], LIMIT)
    state.op(mf.TRUNCATE, 0, 0)
    state.op(mf.TRUNCATE, 1, 0)
    model.run("prefill", {"input_ids": ids}, state)
    capacity = state.op(mf.CAPACITY, 0)
    beyond = mf.CACHE_FULL if capacity == context else None  # a page may hold more than the context; positions end there
    report.status(label + " beyond the context", beyond, model.run, "decode", {"input_ids": ids[:, :1]}, state)
    report.expect(label + " length when full", state.length(0) == context, "expected %d, got %d" % (context, state.length(0)))
    state.close()


for name in sorted(os.listdir(FIXTURES)):
    directory = os.path.join(FIXTURES, name)
    if not os.path.isdir(directory):
        continue
    oracle, path = gpt2.GPT2(directory), compile_module(directory)
    for variant in each_variant(path):
        with Model(path, variant) as model:
            check_forward(model, oracle, "%s %s" % (variant, name))
            check_cached(model, oracle, "%s %s" % (variant, name))
    # Other storage types: against a reference with the rounded weights.
    for dtype in ("bf16", "f16") if name == "f32" else ():
        rounded = gpt2.GPT2(directory)
        # --dtype is the storage of matrices; norms and biases stay as they are in the checkpoint.
        rounded.weights = {n: round_to(w, dtype).astype(float) if w.ndim == 2 else w for n, w in rounded.weights.items()}
        converted = compile_module(directory, "--dtype=" + dtype)
        for variant in each_variant(converted):
            with Model(converted, variant) as model:
                ids = random.integers(0, oracle.config["vocab_size"], (2, 17))
                report.close("%s %s --dtype=%s" % (variant, name, dtype), model.run("forward", {"input_ids": ids})["logits"], rounded.forward(ids), LIMIT)
    # Caches of 16 bits: against a reference with rounded keys and values. Which way those near the middle are rounded differs.
    for dtype in ("bf16", "f16") if name == "f32" else ():
        rounded = gpt2.GPT2(directory)
        rounded.cache = dtype
        converted = compile_module(directory, "--cache-dtype=" + dtype)
        for variant in each_variant(converted):
            with Model(converted, variant) as model:
                ids = random.integers(0, oracle.config["vocab_size"], (2, 17))
                state = State(model, 2, 17)
                expected = rounded.forward(ids)
                for begin, end in ((0, 9), (9, 10), (10, 16), (16, 17)):
                    got = model.run("prefill" if end > begin + 1 else "decode", {"input_ids": np.ascontiguousarray(ids[:, begin:end])}, state)["logits"]
                    report.close("%s --cache-dtype=%s to %d" % (variant, dtype, end), got, expected[:, end - 1], CACHE_LIMIT)
                state.close()
report.finish()
