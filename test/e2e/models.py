"""Model directories of test/fixtures/models against transformers' float64 outputs (expected.npz): models.py [--first] FAMILY...

test/models/FAMILY.test runs it. Decoders: forward, then prefill and decode token by token, padded too, and verify. Encoders:
every output. Encoder-decoders: forward, then encode, prefill, decode and verify.
"""
import os
import sys

import numpy as np

from harness import SOURCE, Model, Report, State, compile_module, each_variant
from model_file import TRUNCATE

LIMIT = 1e-5  # f32 arithmetic, the stored weights
FIXTURES = os.path.join(SOURCE, "test", "fixtures", "models")


def read_runs(directory):
    """[(inputs, expected outputs)] and the notes of expected.npz."""
    runs, notes = {}, {}
    with np.load(os.path.join(directory, "expected.npz")) as file:
        for key in file:
            if key.count(".") != 2:
                notes[key] = file[key]
                continue
            run, kind, name = key.split(".")
            array = file[key].astype(np.int64) if kind == "in" else file[key]
            runs.setdefault(int(run), ({}, {}))[kind == "out"][name] = array
    return [runs[run] for run in sorted(runs)], notes


def visible(inputs, name, array):
    """Where an output counts: transformers leaves it open what comes of padding."""
    per_token = name == "last_hidden_state" or name == "logits" and array.ndim == 3
    decoder = "decoder_input_ids" in inputs
    mask = inputs.get("decoder_attention_mask" if decoder else "attention_mask")
    if mask is None:
        return np.ones(array.shape[: 2 if per_token else 1], bool)
    return mask.astype(bool) if per_token else mask.any(1)


def check_forward(report, model, runs, label):
    for number, (inputs, expected) in enumerate(runs):
        got = model.run("forward", inputs)
        report.expect("%s run %d outputs" % (label, number), sorted(got) == sorted(expected), "expected %s, got %s" % (sorted(expected), sorted(got)))
        for name in set(expected) & set(got):
            keep = visible(inputs, name, expected[name])
            report.close("%s run %d %s" % (label, number, name), got[name][keep], expected[name][keep], LIMIT)


def column(inputs, at, until):
    """The inputs of tokens `at` to `until`; the mask covers earlier ones too."""
    part = {}
    for name, array in inputs.items():
        part[name] = array[:, :until] if name == "attention_mask" else array[:, at:until]
    return {name: np.ascontiguousarray(array) for name, array in part.items()}


def check_decoding(report, model, runs, notes, label):
    """The cache: every run again, a part at once and the rest token by token."""
    until = int(notes.get("decode_until", 1 << 30))
    for number, (inputs, expected) in enumerate(runs):
        batch, seq = inputs["input_ids"].shape
        # Where what came before is computed otherwise in a longer sequence (rotary tables), all at once.
        first, last = (max(1, seq - 9), seq) if seq <= until else (seq, seq)
        keep = visible(inputs, "logits", expected["logits"])
        state, steps = State(model, batch, seq), []
        for begin, end in [(0, first)] + [(at, at + 1) for at in range(first, last)]:
            got = model.run("prefill" if end > begin + 1 else "decode", column(inputs, begin, end), state)["logits"]
            rows = keep[:, end - 1]
            report.close("%s run %d cached to %d" % (label, number, end), got[rows], expected["logits"][rows, end - 1], LIMIT)
            steps.append(got)
        if last > first:
            check_verify(report, model, state, column(inputs, first, last), first, np.stack(steps[1:], 1), "%s run %d" % (label, number))
        state.close()


def check_verify(report, model, state, part, first, steps, label):
    """The tokens after the first ones again, all at once: the bits of one at a time."""
    for slot in range(len(steps)):
        state.op(TRUNCATE, slot, first)
    report.equal(label + " verify", model.run("verify", part, state)["logits"], steps)


def check_generation(report, model, runs, label):
    """An encoder's output is cached once, then the decoder's tokens."""
    for number, (inputs, expected) in enumerate(runs):
        ids = inputs["decoder_input_ids"]
        if "decoder_attention_mask" in inputs:
            continue
        batch, seq = ids.shape
        state = State(model, batch, seq)
        model.run("encode", {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}, state)
        first, steps = max(1, seq - 5), []
        for begin, end in [(0, first)] + [(at, at + 1) for at in range(first, seq)]:
            part = {"decoder_input_ids": np.ascontiguousarray(ids[:, begin:end])}
            got = model.run("prefill" if end > begin + 1 else "decode", part, state)["logits"]
            report.close("%s run %d cached to %d" % (label, number, end), got, expected["logits"][:, end - 1], LIMIT)
            steps.append(got)
        if seq > first:
            part = {"decoder_input_ids": np.ascontiguousarray(ids[:, first:])}
            check_verify(report, model, state, part, first, np.stack(steps[1:], 1), "%s run %d" % (label, number))
        state.close()


def check(report, directory, label):
    runs, notes = read_runs(directory)
    path = compile_module(directory, "--target=native")
    for variant in each_variant(path):
        with Model(path, variant) as model:
            check_forward(report, model, runs, label)
            entries = set(model.entries)
            if "encode" in entries:
                check_generation(report, model, runs, label)
            elif "decode" in entries:
                check_decoding(report, model, runs, notes, label)


quick = "--first" in sys.argv
for family in [name for name in sys.argv[1:] if name != "--first"]:
    report = Report(family)
    for name in sorted(os.listdir(os.path.join(FIXTURES, family)))[: 1 if quick else None]:
        check(report, os.path.join(FIXTURES, family, name), "%s/%s" % (family, name))
    report.finish()
