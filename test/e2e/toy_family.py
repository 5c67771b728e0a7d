# RUN: %python %s
"""examples/family/toy.cpp, which docs/models.md shows: attnc with a family from outside, against numpy."""
import json
import os
import subprocess
import tempfile

import numpy as np

from harness import BUILD, SOURCE, Model, Report, State, each_variant
from reference import attention, reference, safetensors

report = Report("toy_family")
random = report.random
VOCAB, CONTEXT, WIDTH, LAYERS = 31, 40, 13, 3

with open(os.path.join(SOURCE, "docs", "models.md"), encoding="utf-8") as page, \
        open(os.path.join(SOURCE, "examples", "family", "toy.cpp"), encoding="utf-8") as program:
    report.expect("docs/models.md shows toy.cpp", program.read() in page.read(), "expected the same text")

weights = {"tokens.weight": random.standard_normal((VOCAB, WIDTH)), "positions.weight": random.standard_normal((CONTEXT, WIDTH)),
           "head.weight": random.standard_normal((VOCAB, WIDTH)) * WIDTH ** -0.5}
for index in range(LAYERS):
    layer = "layers.%d." % index
    for name in ("query", "key", "value", "out"):
        weights[layer + name + ".weight"] = random.standard_normal((WIDTH, WIDTH)) * WIDTH ** -0.5
        weights[layer + name + ".bias"] = random.standard_normal(WIDTH) * 0.1
    weights[layer + "norm.weight"] = 1 + 0.1 * random.standard_normal(WIDTH)
    weights[layer + "norm.bias"] = 0.1 * random.standard_normal(WIDTH)
weights = {name: array.astype(np.float32) for name, array in weights.items()}


def expected(ids):
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    x = w["tokens.weight"][ids] + w["positions.weight"][: ids.shape[1]]
    for index in range(LAYERS):
        def linear(name, x):
            return x @ w["layers.%d.%s.weight" % (index, name)].T + w["layers.%d.%s.bias" % (index, name)]

        q, k, v = (linear(name, x)[:, None] for name in ("query", "key", "value"))
        out = attention.attention(q, k, v, causal=True)[:, 0]
        x = reference.layer_norm(linear("out", out) + x, w["layers.%d.norm.weight" % index], w["layers.%d.norm.bias" % index])
    return x @ w["head.weight"].T


with tempfile.TemporaryDirectory() as directory:
    safetensors.write(os.path.join(directory, "model.safetensors"), weights)

    def compile_with(**config):
        with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
            json.dump({"model_type": "toy", "vocab_size": VOCAB, "max_position_embeddings": CONTEXT, "num_hidden_layers": LAYERS, **config}, file)
        path = os.path.join(directory, "toy.so")
        return path, subprocess.run([os.path.join(BUILD, "bin", "toy-attnc"), directory, "-o", path], capture_output=True, text=True)

    path, done = compile_with(hidden_size=WIDTH)
    report.expect("toy-attnc", done.returncode == 0, done.stderr)
    ids = random.integers(0, VOCAB, (2, 17))
    for variant in each_variant(path):
        with Model(path, variant) as model:
            report.close(variant + " forward", model.run("forward", {"input_ids": ids})["logits"], expected(ids), 1e-5)
            state = State(model, 2, CONTEXT)
            model.run("prefill", {"input_ids": ids[:, :9]}, state)
            for at in range(9, 17):
                got = model.run("decode", {"input_ids": ids[:, at : at + 1]}, state)["logits"]
                report.close("%s decode %d" % (variant, at), got, expected(ids)[:, at], 1e-5)
            state.close()
    _, done = compile_with()
    report.expect("a key is missing", "expected 'hidden_size' to be an integer from 1 to 65536, got none" in done.stderr, done.stderr)
    _, done = compile_with(hidden_size=WIDTH + 1)
    report.expect("shapes differ", "tensor 'tokens.weight': expected shape [31, 14], got [31, 13]" in done.stderr, done.stderr)
    listed = subprocess.run([os.path.join(BUILD, "bin", "toy-attnc"), "--list-models"], capture_output=True, text=True).stdout
    report.expect("listed", "| `toy` | decoder | one head, no MLP |" in listed and "| `llama` |" in listed, listed)
report.finish()
