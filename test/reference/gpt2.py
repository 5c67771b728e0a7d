"""GPT-2 from a Hugging Face directory, in float64: the oracle for whole models."""
import json
import os

import numpy as np

from reference import attention, reference, safetensors

# config.json's activation_function -> the dialect's name.
ACTIVATION_NAMES = {
    "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "swish": "silu",
    "linear": "none",
}


def load_tensors(directory):
    """All tensors, sharded or not, without the prefix "transformer."."""
    index = os.path.join(directory, "model.safetensors.index.json")
    files = ["model.safetensors"]
    if os.path.exists(index):
        with open(index, encoding="utf-8") as file:
            files = sorted(set(json.load(file)["weight_map"].values()))
    tensors = {}
    for name in files:
        tensors.update(safetensors.read(os.path.join(directory, name)))
    return {name.removeprefix("transformer."): array for name, array in tensors.items()}


class GPT2:
    def __init__(self, directory):
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        self.cache = "f32"  # what keys and values are rounded to
        self.weights = {n: w.astype(np.float64) for n, w in load_tensors(directory).items() if w.dtype != bool}

    def forward(self, input_ids, attention_mask=None, position_ids=None):
        """Logits [batch, seq, vocab] of input_ids [batch, seq]; attention_mask [batch, seq], non-zero keeps."""
        c, w = self.config, self.weights
        ids = np.asarray(input_ids)
        act = c.get("activation_function", "gelu_new")
        act = ACTIVATION_NAMES.get(act, act)
        x = reference.embedding(ids, w["wte.weight"])
        x = reference.embedding(reference.positions(ids, position_ids), w["wpe.weight"], x)
        for layer in range(c["n_layer"]):
            x = self.block(x, "h.%d." % layer, layer, act, attention_mask)
        x = self.norm(x, "ln_f.")
        head = w["wte.weight"] if c.get("tie_word_embeddings", True) or "lm_head.weight" not in w else w["lm_head.weight"]
        return x @ head.T

    def norm(self, x, name):
        epsilon = self.config.get("layer_norm_epsilon", 1e-5)
        return reference.layer_norm(x, self.weights[name + "weight"], self.weights[name + "bias"], epsilon)

    def dense(self, x, name):
        return x @ self.weights[name + "weight"] + self.weights[name + "bias"]

    def block(self, x, name, layer, act, mask):
        c = self.config
        q, k, v = np.split(self.dense(self.norm(x, name + "ln_1."), name + "attn.c_attn."), 3, -1)
        k, v = (x if self.cache == "f32" else safetensors.round_to(x, self.cache).astype(float) for x in (k, v))
        scale = (c["n_embd"] // c["n_head"]) ** -0.5 if c.get("scale_attn_weights", True) else 1.0
        if c.get("scale_attn_by_inverse_layer_idx", False):
            scale /= layer + 1
        a = attention.packed(q, k, v, c["n_head"], scale=scale, causal=True, key_mask=mask)
        x = x + self.dense(a, name + "attn.c_proj.")
        h = reference.activation(self.dense(self.norm(x, name + "ln_2."), name + "mlp.c_fc."), act)
        return x + self.dense(h, name + "mlp.c_proj.")

    def greedy(self, prompt, count, eos=None):
        """Up to `count` ids after `prompt`, without the eos that may end them."""
        ids = list(prompt)
        for _ in range(count):
            best = int(reference.argmax(self.forward([ids])[0, -1]))
            if best == eos:
                break
            ids.append(best)
        return ids[len(prompt):]
