# RUN: %python %s
"""Models built from layers (test/frontend/built_models.cpp), compiled, against numpy in double precision."""
import concurrent.futures
import os
import re
import subprocess
import tempfile

import numpy as np

from harness import ATTNC, BUILD, Model, ModelError, Report, State
from reference import attention, reference, safetensors
from reference.reference import log_softmax, shift_right

report = Report("layers")
random = report.random


# ---- What each model computes -----------------------------------------------------------------------------

def dense(x, w, name):
    return x @ w[name + ".weight"] + w[name + ".bias"]


def norm(x, w, name):
    return reference.layer_norm(x, w[name + ".weight"], w[name + ".bias"], 1e-6)


def attend(q, k, v, heads=1, **options):
    return attention.packed(q, k, v, heads, **options)


def weights_of(q, k):
    return attention.attention(q[:, None], k[:, None], k[:, None], causal=True, results=("softmax",))[:, 0]


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return reference.activation(x, "gelu")


def fast_gelu(x):
    return reference.activation(x, "gelu_tanh")


def sinusoids(x):
    return x + reference.positional_encoding(np.arange(x.shape[1]), x.shape[2])


def causal(x, w, prefix, heads):
    q, k, v = (dense(x, w, "%sBranch.%d.Dense" % (prefix, i)) for i in range(3))
    return dense(attend(q, k, v, heads, causal=True), w, prefix.removesuffix(".0.") + ".2.Dense")


def qkv(x, k, v, mask, w):
    name = "Serial.0.AttentionQKV."
    q, k, v = (dense(t, w, name + "0.Parallel.%d.Dense" % i) for i, t in enumerate((x, k, v)))
    return dense(attend(q, k, v, 3, key_mask=mask != 0), w, name + "2.Dense")


def language_model(ids, w):
    x = sinusoids(w["Serial.1.Embedding.weight"][shift_right(ids)])
    for i in (3, 4, 5):
        name = "Serial.%d.Residual." % i
        x = x + causal(norm(x, w, name + "0.LayerNorm"), w, name + "1.CausalAttention.0.", 3)
    return log_softmax(dense(norm(x, w, "Serial.6.LayerNorm"), w, "Serial.7.Dense"))


def blend(x, y):
    return 0.25 * x + y


def external(x, y, w):
    z = blend(2 * dense(x, w, "Serial.0.Dense"), y)
    return 3 * z


MODELS = {
    "dot_product": lambda q, k, v, w: attend(q, k, v),
    "dot_product_causal": lambda q, k, v, w: attend(q, k, v, causal=True, scale=1.0),
    "dot_product_masked": lambda q, k, v, mask, w: attend(q, k, v, bias=(mask != 0)[:, None, None], masked_rows="mean"),
    "attention_weights": lambda q, k, w: weights_of(q, k),
    "heads_from_parts": lambda q, k, v, w: attend(q, k, v, 13),
    "heads_fused": lambda q, k, v, w: attend(q, k, v, 13),
    "split_and_merge": lambda q, w: q,
    "split_heads": lambda x, w: 2 * reference.split_heads(x, 3).reshape(-1, x.shape[1], 2),
    "relu_of_heads": lambda x, w: relu(x),
    "between_heads": lambda x, w: x + 2 * relu(x) + 1,
    "heads_and_weights": lambda x, w: attend(x, x, x, 3, causal=True),
    "self_attention": lambda x, w: attend(x, x, x, 2),
    "causal_attention": lambda x, w: causal(x, w, "CausalAttention.0.", 2),
    "attention_qkv": qkv,
    "addition": lambda x, y, w: x + y,
    "stack": lambda x, y, w: relu(y) + gelu(x),
    "residual": lambda x, w: (lambda r: r + dense(norm(r, w, "Serial.2.Residual.0.LayerNorm"), w, "Serial.2.Residual.1.Dense"))(x + relu(x) + gelu(x)),
    "split_concatenate": lambda x, w: x[..., [4, 5, 0, 1, 2, 3]],
    "concatenate_two": lambda x, y, w: np.concatenate([x, y], -1),
    "shift_right": lambda x, w: shift_right(x),
    "shift_ids": lambda ids, w: w["Serial.1.Embedding.weight"][shift_right(ids)],
    "functions": lambda x, y, w: (np.log(np.sqrt(x * x + 1)) - np.tanh(y) / 3, np.maximum(np.exp(-y / 2), x)),
    "broadcast": lambda x, row, w: x * row - row,
    "log_softmax": lambda x, w: log_softmax(x),
    "one_task": lambda x, w: dense(x, w, "Dense"),
    "positions": lambda ids, w: sinusoids(w["Serial.0.Embedding.weight"][ids]),
    "learned_positions": lambda ids, w: w["Serial.0.Embedding.weight"][ids] + w["Serial.1.PositionalEncoding.weight"][: ids.shape[1]],
    "external": external,
    "language_model": language_model,
}
EXTERNALS = {"twice": lambda x, out: np.multiply(x, 2, out=out) is None, "blend": lambda x, y, out: np.copyto(out, blend(x, y))}


# ---- Running them -----------------------------------------------------------------------------------------

def inputs_of(model, entry, batch, seq, keys):
    """Random inputs of the shapes that the entry declares."""
    sizes = {"batch": batch, "seq": seq, "keys": keys}
    info = model.library.entries[model.entries[entry]]
    arrays = {}
    for tensor in info.inputs[: info.n_in]:
        name = tensor.name.decode()
        shape = [size if size >= 0 else sizes[info.dims[-1 - size].name.decode()] for size in tensor.dims[: tensor.rank]]
        arrays[name] = random.standard_normal(shape).astype(np.float32)
        if tensor.dtype.code == 0:  # ids
            arrays[name] = random.integers(0, 2 if name == "mask" else 11, shape)
    return arrays


def check(name, path, weights):
    with Model(path, externals=EXTERNALS) as model:
        for batch, seq, keys in ((1, 1, 1), (2, 5, 3), (3, 17, 23)):
            inputs = inputs_of(model, "forward", batch, seq, keys)
            doubles = [array if array.dtype == np.int64 else array.astype(np.float64) for array in inputs.values()]
            expected = MODELS[name](*doubles, weights)
            got = list(model.run("forward", inputs).values())
            for place, (g, e) in enumerate(zip(got, expected if isinstance(expected, tuple) else (expected,))):
                report.close("%s[%d] batch %d seq %d" % (name, place, batch, seq), g, e, 2e-5, floor=1e-3)


with tempfile.TemporaryDirectory() as directory:
    subprocess.run([os.path.join(BUILD, "programs", "built_models"), directory], check=True)

    def compile_model(name):
        path = os.path.join(directory, name + ".so")
        return path, subprocess.run([ATTNC, os.path.join(directory, name + ".mlir"), "-o", path, "--target=native", "-j", "1", "--remarks"],
                                    capture_output=True, text=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = dict(zip(MODELS, pool.map(compile_model, MODELS)))
    for name, (path, done) in compiled.items():
        report.expect(name + " compiles", done.returncode == 0, done.stderr)
        report.expect(name + " is raised", ("attention not raised" in done.stderr) == (name in ("attention_weights", "heads_and_weights")), done.stderr)
        if done.returncode == 0:
            check(name, path, {key: array.astype(np.float64) for key, array in safetensors.read(os.path.join(directory, name + ".safetensors")).items()})
    report.expect("every model is known", sorted(file[:-5] for file in os.listdir(directory) if file.endswith(".mlir")) == sorted(MODELS),
                  "expected the models of built_models.cpp")

    # Attention from parts is the fused op: the same graph after the stage "fused", but for the scale that the parts say.
    def fused(name):
        text = subprocess.run([ATTNC, os.path.join(directory, name + ".mlir"), "--emit=fused"], capture_output=True, text=True, check=True).stdout
        return re.sub(", scale = [^}]*", "", text.replace("heads_from_parts", "heads_fused"))

    report.expect("heads from parts are attn.attention", fused("heads_from_parts") == fused("heads_fused"), fused("heads_from_parts"))

    # prefill and decode give what forward gives: ShiftRight's 0, then the tokens.
    with Model(compiled["language_model"][0]) as model:
        ids = random.integers(0, 23, (2, 9))
        rows = model.run("forward", {"ids": ids})["logits"]
        begun = np.concatenate([np.zeros((2, 1), np.int64), ids[:, :-1]], 1)
        state = State(model, 2, 40)
        got = model.run("prefill", {"ids": begun[:, :4]}, state=state, slots=[0, 1])["logits"]
        report.close("prefill", got, rows[:, 3], 1e-5)
        for token in range(4, 9):
            got = model.run("decode", {"ids": begun[:, token : token + 1]}, state=state, slots=[0, 1])["logits"]
            report.close("decode %d" % token, got, rows[:, token], 1e-5)
        state.close()
        state = State(model, 2, 40)
        model.run("prefill", {"ids": begun[:, :4]}, state=state, slots=[0, 1])
        report.close("verify", model.run("verify", {"ids": begun[:, 4:]}, state=state, slots=[0, 1])["logits"], rows[:, 4:], 1e-5)
        state.close()

    # Functions of the host that are not there, or fail.
    path = compiled["external"][0]
    described = [subprocess.run([os.path.join(BUILD, "bin", "attn-run"), path, *options], capture_output=True, text=True).stdout
                 for options in (["--describe"], ["--describe=json"])]
    report.expect("names of externals", "calls functions of the host: twice, blend" in described[0] and "machine: none" not in described[0],
                  described[0])
    report.expect("names of externals", '"externals":["twice","blend"]' in described[1], described[1])
    for externals, text in ((None, "host: expected resolve to find the external function 'twice', got no resolve"),
                            ({"twice": EXTERNALS["twice"]}, "host: expected resolve to find the external function 'blend', got null")):
        try:
            Model(path, externals=externals)
            report.fail("externals", "expected an error")
        except ModelError as error:
            report.expect(text, error.text == text, error.text)
    with Model(path, externals=dict(EXTERNALS, blend=lambda x, y, out: 7)) as model:
        try:
            model.run("forward", inputs_of(model, "forward", 1, 3, 1))
            report.fail("a failing external", "expected an error")
        except ModelError as error:
            report.expect("a failing external", error.text == "external function 'blend' returned 7", error.text)
report.finish()
