"""llama.cpp, float32, on a GPT-2 directory. Needs llama-cpp-python, gguf and numpy; prints one JSON object.

usage: llama_gpt2.py DIRECTORY --threads 2 --prefill 128,512 --decode 128 --min-time 2

Converts DIRECTORY/model.safetensors to DIRECTORY/model.gguf once, with a vocabulary of made-up words.
"""
import json
import os
import struct
import sys
import time

import gguf
import llama_cpp as llama
import numpy as np

import peer

NAMES = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
         "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}


def convert(directory, path):
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    weights_path = os.path.join(directory, "model.safetensors")
    with open(weights_path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    data = np.memmap(weights_path, np.uint8, "r", 8 + size)
    w = gguf.GGUFWriter(path + ".part", "gpt2")
    w.add_block_count(config["n_layer"])
    w.add_context_length(config["n_positions"])
    w.add_embedding_length(config["n_embd"])
    w.add_feed_forward_length(4 * config["n_embd"])
    w.add_head_count(config["n_head"])
    w.add_layer_norm_eps(config.get("layer_norm_epsilon", 1e-5))
    w.add_file_type(0)
    vocab = config["vocab_size"]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(["t%d" % i for i in range(vocab)])
    w.add_token_types([1] * vocab)
    w.add_token_merges(["a b"])
    w.add_bos_token_id(vocab - 1)
    w.add_eos_token_id(vocab - 1)
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        array = data[begin:end].view(np.float32).reshape(info["shape"])
        name = name.removeprefix("transformer.")
        part, _, kind = name.rpartition(".")
        if part.startswith("h."):
            _, layer, part = part.split(".", 2)
            target = "blk.%s.%s.%s" % (layer, NAMES[part], kind)
            if array.ndim == 2:  # GPT-2 stores [in, out]
                array = np.ascontiguousarray(array.T)
        else:
            target = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}[part] + "." + kind
        w.add_tensor(target, np.ascontiguousarray(array))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.rename(path + ".part", path)


options = peer.arguments()

path = os.path.join(options.directory, "model.gguf")
if not os.path.exists(path):
    convert(options.directory, path)
log = llama.llama_log_callback(lambda level, text, data: None)
llama.llama_log_set(log, None)
llama.llama_backend_init()
start = time.perf_counter()
model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
if not model:
    sys.exit("llama_gpt2.py: could not load %s" % path)
result = {"name": "llama.cpp f32", "load_s": time.perf_counter() - start, "prefill": []}


def context(tokens, batch):
    p = llama.llama_context_default_params()
    p.n_ctx, p.n_batch, p.n_ubatch, p.n_threads, p.n_threads_batch = tokens, batch, batch, options.threads, options.threads
    return llama.llama_init_from_model(model, p)


def decode(c, ids):
    array = (llama.llama_token * len(ids))(*ids)
    if llama.llama_decode(c, llama.llama_batch_get_one(array, len(ids))) != 0:
        sys.exit("llama_gpt2.py: decoding failed")
    llama.llama_synchronize(c)


random = np.random.default_rng(0)
for length in map(int, options.prefill.split(",")):
    c, ids = context(1024, length), [int(i) for i in random.integers(0, 50000, length)]

    def prefill():
        llama.llama_memory_clear(llama.llama_get_memory(c), True)
        decode(c, ids)

    result["prefill"].append(dict(peer.measure(prefill, options.min_time), tokens=length))
    llama.llama_free(c)
c = context(1024, max(64, options.decode))
decode(c, [int(i) for i in random.integers(0, 50000, options.decode)])


def step():
    decode(c, [5])
    llama.llama_memory_seq_rm(llama.llama_get_memory(c), 0, options.decode, -1)


result["decode"] = dict(peer.measure(step, options.min_time), context=options.decode)
print(json.dumps(result))
