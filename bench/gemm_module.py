"""Writes the products of GPT-2's shapes alone: gemm-f32.mlir and gemm-bf16.mlir, an entry per weight, and their weights.

usage: gemm_module.py DIRECTORY
"""
import os
import sys

import numpy as np

import timed_model  # makes the tests' harness known
from harness import Module, tensor
from reference import safetensors
from works import SHAPES


def write(directory):
    random = np.random.default_rng(0)
    for kind in ("f32", "bf16"):
        module = Module()
        for k, n in SHAPES:
            label = "w%dx%d" % (k, n)
            module.weight(label, random.standard_normal((k, n)) * 0.02, kind)
            types = tensor(("?", k)), tensor((k, n), kind), tensor(("?", n))
            module.entry("m%dx%d" % (k, n), [("x", types[0], ["rows"])], [("y", types[2], "%y")],
                         "%%y = attn.linear %%x, %%%s : (%s, %s) -> %s" % ((label,) + types), weights=[label])
        weights = "gemm-%s.safetensors" % kind
        safetensors.write(os.path.join(directory, weights), module.weights, module.kinds)
        with open(os.path.join(directory, "gemm-%s.mlir" % kind), "w", encoding="utf-8") as out:
            out.write(module.text().replace("w.safetensors", weights))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    write(sys.argv[1])
