"""Ours, in the same way as the peers: files that bench/run.py compiled, through libattn_runtime. Needs NumPy; see peer.py.

Reads "build" and "variant" (or null) of the request, too.
"""
import json
import os
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer
from timed_model import Runtime, TimedModel, mf


def setup(request):
    runtime, random = Runtime(request["build"], request["threads"]), np.random.default_rng(0)
    path = lambda name, ending: os.path.join(request["folder"], name + ending)

    def first(work, ids):
        """The program that does least: to the end of its process."""
        np.save(path("first", ".npy"), ids)
        command = [os.path.join(request["build"], "bin", "attn-run"), path("%s-%s" % (work["model"], request["type"]), ".so"),
                   "--entry", "prefill", "--input", "input_ids=" + path("first", ".npy"), "--threads", str(request["threads"])]
        command += ["--variant", request["variant"]] if request["variant"] else []
        return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def prepare(work):
        model = TimedModel(runtime, path("%s-%s" % (work.get("model", "gemm"), request["type"]), ".so"), request["variant"])
        if work["form"] == "gemm":
            m, k, n = work["m"], work["k"], work["n"]
            model.add([random.standard_normal((m, k), np.float32)], [(m, n)], "m%dx%d" % (k, n))
            return model.run
        with open(os.path.join(path(work["model"], ""), "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        batch, tokens, vocab = work["batch"], work["tokens"], config["vocab_size"]
        ids = random.integers(0, vocab, (batch, tokens))
        if work["form"] == "first":
            return first(work, ids)
        if work["form"] == "encode":
            given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            shapes = [(batch, tokens, config["hidden_size"]), (batch, config["hidden_size"])]
            model.add([given.get(name) for name in model.inputs("forward")], shapes, "forward")
            return model.run
        cached = 0 if work["form"] == "prefill" else tokens
        model.create_state(batch, tokens + 1)
        model.add([ids], [(batch, vocab)], "prefill", slots=batch)
        if cached:
            model.run()
            model.calls.clear()
            model.add([ids[:, :1]], [(batch, vocab)], "decode", slots=batch)

        def reset():
            for slot in range(batch):
                model.state_op(mf.TRUNCATE, slot, cached)

        return model.run, reset

    return prepare


if __name__ == "__main__":
    peer.serve("attnc", setup)
