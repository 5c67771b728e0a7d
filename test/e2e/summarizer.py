# RUN: %python %s
"""examples/summarizer: logits of expected.npz, and every greedy summary of expected.json, token for token."""
import json
import os

import numpy as np

from harness import SOURCE, Model, Report, State, compile_module, each_variant, relative_error

DIRECTORY = os.path.join(SOURCE, "examples", "summarizer")
EOS, NEW_TOKENS = 1, 40
ON_DEVICE = "halide" in os.environ.get("ATTN_TEST_TARGET", "")
report = Report("summarizer")
path = compile_module(DIRECTORY)
expected = np.load(os.path.join(DIRECTORY, "expected.npz"))
with open(os.path.join(DIRECTORY, "expected.json"), encoding="utf-8") as file:
    texts = json.load(file)


def greedy(model, prompt):
    """With the cache: ids, and the logits that chose them."""
    state = State(model, 1, len(prompt) + NEW_TOKENS)
    logits = [model.run("prefill", {"input_ids": np.array([prompt])}, state)["logits"][0]]
    ids = []
    while logits[-1].argmax() != EOS and len(ids) < NEW_TOKENS:
        ids.append(int(logits[-1].argmax()))
        logits.append(model.run("decode", {"input_ids": np.array([ids[-1:]])}, state)["logits"][0])
    state.close()
    return ids, np.stack(logits)


for variant in each_variant(path):
    chosen = {}
    for workers in (1, 2):
        with Model(path, variant, workers=workers) as model:
            logits = model.run("forward", {"input_ids": expected["input_ids"].astype(np.int64)})["logits"]
            error = relative_error(logits, expected["logits"])
            print("%s, %d workers: relative error of the logits %.2g" % (variant, workers, error), flush=True)
            report.close("%s %d workers expected.npz" % (variant, workers), logits, expected["logits"], 1e-5)
            for text in texts:
                label = "%s %d workers %s" % (variant, workers, text["package"])
                ids, logits = greedy(model, text["prompt_ids"])
                report.expect(label, ids == text["greedy_ids"], "expected %s, got %s" % (text["greedy_ids"], ids))
                report.equal(label + " logits as with 1 worker", logits, chosen.setdefault(text["package"], logits))
                if workers == 1:  # without the cache: one forward over prompt and summary
                    sequence = text["prompt_ids"] + text["greedy_ids"]
                    whole = model.run("forward", {"input_ids": np.array([sequence])})["logits"][0]
                    picked = whole[len(text["prompt_ids"]) - 1 :]
                    report.expect(label + " without cache", picked.argmax(-1).tolist()[: len(text["greedy_ids"])] == text["greedy_ids"],
                                  "expected %s, got %s" % (text["greedy_ids"], picked.argmax(-1).tolist()))
                    if ON_DEVICE:  # its blocks of keys are others with a cache
                        report.close(label + " cache against forward", logits[: len(picked)], picked[: len(logits)], 1e-5)
                    else:
                        report.equal(label + " cache against forward", logits[: len(picked)], picked[: len(logits)])
    print("%s: %d summaries, the same bits with and without cache, for 1 and 2 workers" % (variant, len(texts)))
report.finish()
