"""Writes a Llama directory with random weights: config.json and model.safetensors (f32), seeded.

usage: llama_random.py DIRECTORY [--layers 12] [--width 2048] [--inner 5504] [--heads 16] [--kv-heads 4] [--vocab 32000]
                       [--context 2048] [--seed 0]

The defaults make 2.5 GB.
"""
import argparse

from gpt2_random import write_directory


def tensor_shapes(layers, width, inner, heads, kv_heads, vocab):
    """{name: shape} in file order; names are transformers' LlamaForCausalLM."""
    keys = width // heads * kv_heads
    shapes = {"model.embed_tokens.weight": (vocab, width)}
    for layer in range(layers):
        p = "model.layers.%d." % layer
        shapes.update({
            p + "input_layernorm.weight": (width,), p + "post_attention_layernorm.weight": (width,),
            p + "self_attn.q_proj.weight": (width, width), p + "self_attn.k_proj.weight": (keys, width),
            p + "self_attn.v_proj.weight": (keys, width), p + "self_attn.o_proj.weight": (width, width),
            p + "mlp.gate_proj.weight": (inner, width), p + "mlp.up_proj.weight": (inner, width), p + "mlp.down_proj.weight": (width, inner),
        })
    shapes.update({"model.norm.weight": (width,), "lm_head.weight": (vocab, width)})
    return shapes


def write(directory, layers=12, width=2048, inner=5504, heads=16, kv_heads=4, vocab=32000, context=2048, seed=0):
    """Writes the directory; one that is complete with the same parameters is left as it is."""
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "num_hidden_layers": layers, "hidden_size": width,
        "intermediate_size": inner, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocab,
        "max_position_embeddings": context, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
        "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32", "attnc_random_seed": seed,
    }
    write_directory(directory, config, tensor_shapes(layers, width, inner, heads, kv_heads, vocab), seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    for name, default in (("layers", 12), ("width", 2048), ("inner", 5504), ("heads", 16), ("kv-heads", 4), ("vocab", 32000), ("context", 2048), ("seed", 0)):
        parser.add_argument("--" + name, type=int, default=default)
    write(**vars(parser.parse_args()))
