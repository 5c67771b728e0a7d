"""Writes a GPT-2 directory with random weights: config.json and model.safetensors (f32), seeded.

usage: gpt2_random.py DIRECTORY [--layers 12] [--width 768] [--heads 12] [--vocab 50257] [--context 1024] [--seed 0]

The defaults are GPT-2 124M. Tensor by tensor: memory stays near the largest one.
"""
import argparse
import json
import os
import struct

import numpy as np


def tensor_shapes(layers, width, vocab, context):
    """{name: shape} in file order; names are transformers' GPT2LMHeadModel."""
    shapes = {"transformer.wte.weight": (vocab, width), "transformer.wpe.weight": (context, width)}
    for layer in range(layers):
        p = "transformer.h.%d." % layer
        shapes.update({
            p + "ln_1.weight": (width,), p + "ln_1.bias": (width,),
            p + "attn.c_attn.weight": (width, 3 * width), p + "attn.c_attn.bias": (3 * width,),
            p + "attn.c_proj.weight": (width, width), p + "attn.c_proj.bias": (width,),
            p + "ln_2.weight": (width,), p + "ln_2.bias": (width,),
            p + "mlp.c_fc.weight": (width, 4 * width), p + "mlp.c_fc.bias": (4 * width,),
            p + "mlp.c_proj.weight": (4 * width, width), p + "mlp.c_proj.bias": (width,),
        })
    shapes.update({"transformer.ln_f.weight": (width,), "transformer.ln_f.bias": (width,)})
    return shapes


def write_directory(directory, config, shapes, seed):
    """Writes config.json and the tensors; a directory that is complete with the same config is left as it is."""
    config_path = os.path.join(directory, "config.json")
    if os.path.exists(config_path):  # written last
        with open(config_path, encoding="utf-8") as file:
            if json.load(file) == config:
                return
        os.remove(config_path)
    os.makedirs(directory, exist_ok=True)
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    header["__metadata__"] = {"format": "pt"}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(seed)
    with open(os.path.join(directory, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            values = random.standard_normal(shape, np.float32) * np.float32(0.02)
            if name.endswith("weight") and len(shape) == 1:  # of a norm
                values += 1
            file.write(values.tobytes())
    with open(config_path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)


def write(directory, layers=12, width=768, heads=12, vocab=50257, context=1024, seed=0):
    """Writes the directory; one that is complete with the same parameters is left as it is."""
    config = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new",
        "n_layer": layers, "n_embd": width, "n_head": heads, "n_positions": context, "vocab_size": vocab,
        "bos_token_id": vocab - 1, "eos_token_id": vocab - 1, "dtype": "float32", "attnc_random_seed": seed,
    }
    write_directory(directory, config, tensor_shapes(layers, width, vocab, context), seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    for name, default in (("layers", 12), ("width", 768), ("heads", 12), ("vocab", 50257), ("context", 1024), ("seed", 0)):
        parser.add_argument("--" + name, type=int, default=default)
    write(**vars(parser.parse_args()))
