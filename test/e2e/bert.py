# RUN: %python %s
"""The small BERT directories of test/fixtures/bert: outputs against those of transformers in float64 (expected.npz)."""
import os

import numpy as np

import model_file as mf
from harness import SOURCE, Model, Report, compile_module, each_variant

LIMIT = 1e-5  # f32 arithmetic, the stored weights
report = Report("bert")
random = report.random
FIXTURES = os.path.join(SOURCE, "test", "fixtures", "bert")
OUTPUTS = ("last_hidden_state", "pooler_output")


def read_runs(directory):
    """[(inputs, expected outputs)] of expected.npz."""
    inputs, outputs = {}, {}
    with np.load(os.path.join(directory, "expected.npz")) as file:
        for key in file:
            run, name = key.split(".")
            if name in OUTPUTS:
                outputs.setdefault(int(run), {})[name] = file[key]
            else:
                inputs.setdefault(int(run), {})[name] = file[key].astype(np.int64)
    return [(inputs[run], outputs[run]) for run in sorted(inputs)]


def check_expected(model, runs, label):
    for number, (inputs, expected) in enumerate(runs):
        got = model.run("forward", inputs)
        report.expect("%s run %d outputs" % (label, number), sorted(got) == sorted(expected),
                      "expected %s, got %s" % (sorted(expected), sorted(got)))
        for name in expected:
            report.close("%s run %d %s" % (label, number, name), got[name], expected[name], LIMIT)


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


# Vocabulary, token types and context of each: make.py.
for name, vocab, types, context in [("f32", 61, 2, 160), ("masked-lm", 47, 1, 17), ("bf16", 65, 3, 24)]:
    directory = os.path.join(FIXTURES, name)
    runs, path = read_runs(directory), compile_module(directory)
    for variant in each_variant(path):
        label = "%s %s" % (variant, name)
        with Model(path, variant) as model:
            check_expected(model, runs, label)
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
