"""Writes a BERT directory with random weights: config.json and model.safetensors (f32), seeded.

usage: bert_random.py DIRECTORY [--layers 6] [--width 384] [--heads 12] [--inner 1536] [--vocab 30522] [--context 512] [--seed 0]

The defaults are all-MiniLM-L6-v2.
"""
import argparse

from gpt2_random import write_directory


def tensor_shapes(layers, width, inner, vocab, context):
    """{name: shape} in file order; names are transformers' BertModel."""
    e = "embeddings."
    shapes = {e + "word_embeddings.weight": (vocab, width), e + "position_embeddings.weight": (context, width),
              e + "token_type_embeddings.weight": (2, width), e + "LayerNorm.weight": (width,), e + "LayerNorm.bias": (width,)}
    for layer in range(layers):
        p = "encoder.layer.%d." % layer
        parts = {"attention.self.query": (width, width), "attention.self.key": (width, width), "attention.self.value": (width, width),
                 "attention.output.dense": (width, width), "attention.output.LayerNorm": (width,),
                 "intermediate.dense": (inner, width), "output.dense": (width, inner), "output.LayerNorm": (width,)}
        for part, shape in parts.items():  # [out, in]
            shapes.update({p + part + ".weight": shape, p + part + ".bias": shape[:1]})
    shapes.update({"pooler.dense.weight": (width, width), "pooler.dense.bias": (width,)})
    return shapes


def write(directory, layers=6, width=384, heads=12, inner=1536, vocab=30522, context=512, seed=0):
    """Writes the directory; one that is complete with the same parameters is left as it is."""
    config = {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu", "hidden_size": width,
        "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": inner, "vocab_size": vocab,
        "max_position_embeddings": context, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        "dtype": "float32", "attnc_random_seed": seed,
    }
    write_directory(directory, config, tensor_shapes(layers, width, inner, vocab, context), seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    for name, default in (("layers", 6), ("width", 384), ("heads", 12), ("inner", 1536), ("vocab", 30522), ("context", 512), ("seed", 0)):
        parser.add_argument("--" + name, type=int, default=default)
    write(**vars(parser.parse_args()))
