# RUN: %python %s
"""Encoders beyond their outputs (models.py): inputs and outputs left out, padding, errors, schedules; on BERT's directories."""
import os

import numpy as np

import model_file as mf
from harness import Model, Report, compile_module, each_variant
from models import FIXTURES, read_runs

report = Report("bert")
random = report.random


def check_options(model, runs, label):
    """int32 in place of int64, and outputs that are left out: the same bits."""
    inputs, outputs = runs[0]
    every = model.run("forward", inputs)
    narrow = {name: array.astype(np.int32) for name, array in inputs.items()}
    for name in every:
        got = model.run("forward", narrow, skip=set(every) - {name})
        report.equal("%s %s alone, of int32" % (label, name), got[name], every[name])
    report.expect(label + " nothing", model.run("forward", inputs, skip=set(every)) == {}, "expected no output")


def check_defaults(model, ids, label):
    """Optional inputs left out are all ones, all zeros, and 0, 1, 2, …; bit by bit."""
    plain = model.run("forward", {"input_ids": ids})
    given = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids),
             "position_ids": np.broadcast_to(np.arange(ids.shape[1]), ids.shape).copy()}
    for name, array in given.items():
        got = model.run("forward", {"input_ids": ids, name: array})
        for output in plain:
            report.equal("%s %s left out: %s" % (label, name, output), got[output], plain[output])


def check_padding(model, vocab, longest, label):
    """A sequence has the same bits alone as padded on the right in a batch, whatever the padding holds."""
    lengths = [int(n) for n in random.integers(1, longest + 1, 3)]
    ids = random.integers(0, vocab, (3, max(lengths)))
    mask = (np.arange(ids.shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    got = model.run("forward", {"input_ids": ids, "attention_mask": mask})["last_hidden_state"]
    for row, length in enumerate(lengths):
        alone = model.run("forward", {"input_ids": ids[row : row + 1, :length]})["last_hidden_state"]
        report.equal("%s %d of %d tokens" % (label, length, ids.shape[1]), got[row, :length], alone[0])
    nothing = model.run("forward", {"input_ids": ids, "attention_mask": mask * [[1], [0], [1]]})
    report.expect(label + " a row of padding only", all(np.isfinite(x).all() for x in nothing.values()), "expected finite values")
    report.equal(label + " beside a row of padding only", nothing["last_hidden_state"][0], got[0])


def check_errors(model, vocab, types, context, label):
    ids = random.integers(0, vocab, (2, 5))
    for name, array in [("input_ids", ids + vocab), ("input_ids", ids - vocab), ("token_type_ids", ids * 0 + types),
                        ("token_type_ids", ids * 0 - 1), ("position_ids", ids * 0 + context)]:
        report.status("%s %s out of range" % (label, name), mf.RANGE, model.run, "forward", {"input_ids": ids, name: array})
    report.status(label + " longer than the context", mf.SHAPE, model.run, "forward", {"input_ids": np.zeros((1, context + 1), np.int64)})
    for name in ("attention_mask", "token_type_ids", "position_ids"):
        report.status("%s %s of another shape" % (label, name), mf.SHAPE, model.run, "forward", {"input_ids": ids, name: ids[:, 1:]})


# Vocabulary, token types and context of each: encoders.py.
for name, vocab, types, context in [("f32", 61, 2, 160), ("masked-lm", 47, 1, 17), ("bf16", 65, 3, 24)]:
    directory = os.path.join(FIXTURES, "bert", name)
    (runs, _), path = read_runs(directory), compile_module(directory)
    for variant in each_variant(path):
        label = "%s %s" % (variant, name)
        with Model(path, variant) as model:
            check_options(model, runs, label)
            check_defaults(model, random.integers(0, vocab, (2, min(context, 70))), label)
            check_padding(model, vocab, context, label)
            check_errors(model, vocab, types, context, label)
            serial = [model.run("forward", inputs) for inputs, _ in runs]
        for schedule in ("random", "threads"):
            with Model(path, variant, workers=2, schedule=schedule, seed=1) as model:
                for number, (inputs, _) in enumerate(runs):
                    got = model.run("forward", inputs)
                    for output in got:
                        report.equal("%s run %d %s %s" % (label, number, schedule, output), got[output], serial[number][output])
report.finish()
