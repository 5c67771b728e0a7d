# REQUIRES: cuda-emulator
# UNSUPPORTED: asan
# RUN: %python %s
"""examples/summarizer on a GPU, emulated: all of it runs there, and begins the summary that is expected. (For all summaries it
would take a quarter of an hour.)"""
import json
import os
import subprocess

import numpy as np

from harness import ATTNC, SOURCE, Model, Report, State, compile_module

DIRECTORY = os.path.join(SOURCE, "examples", "summarizer")
TOKENS = 4
report = Report("cuda_model")
remarks = subprocess.run([ATTNC, DIRECTORY, "--target=cuda", "--remarks", "--emit=tasks", "-o", os.devnull],
                         stderr=subprocess.PIPE, text=True, check=True).stderr
report.expect("no op runs on the host", "runs on the host" not in remarks, remarks)
expected = np.load(os.path.join(DIRECTORY, "expected.npz"))
with open(os.path.join(DIRECTORY, "expected.json"), encoding="utf-8") as file:
    text = json.load(file)[0]
with Model(compile_module(DIRECTORY, "--target=cuda")) as model:
    logits = model.run("forward", {"input_ids": expected["input_ids"].astype(np.int64)})["logits"]
    report.close("logits", logits, expected["logits"], 1e-5)
    prompt, ids = text["prompt_ids"], []
    state = State(model, 1, len(prompt) + TOKENS)
    logits = [model.run("prefill", {"input_ids": np.array([prompt])}, state)["logits"][0]]
    while len(ids) < TOKENS:
        ids.append(int(logits[-1].argmax()))
        logits.append(model.run("decode", {"input_ids": np.array([ids[-1:]])}, state)["logits"][0])
    state.close()
    report.equal("the summary's first tokens", ids, text["greedy_ids"][:TOKENS])
    whole = model.run("forward", {"input_ids": np.array([prompt + ids])})["logits"][0]
    report.equal("cache against forward", np.stack(logits), whole[len(prompt) - 1:])
report.finish()
