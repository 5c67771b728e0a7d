"""llama.cpp on a GPT-2 directory. Needs llama-cpp-python, gguf and numpy; see peer.py.

Converts MODEL/model.safetensors to MODEL-TYPE.gguf once, with a vocabulary of made-up words. Its cache is f16.
"""
import json
import os
import struct

import gguf
import llama_cpp as llama
import numpy as np

import peer

NAMES = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
         "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
TYPES = {"f32": (gguf.LlamaFileType.ALL_F32, None), "bf16": (gguf.LlamaFileType.MOSTLY_BF16, gguf.GGMLQuantizationType.BF16)}


def convert(directory, path, kind):
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    weights_path = os.path.join(directory, "model.safetensors")
    with open(weights_path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    data = np.memmap(weights_path, np.uint8, "r", 8 + size)
    file_type, matrix_type = TYPES[kind]
    w = gguf.GGUFWriter(path + ".part", "gpt2")
    w.add_block_count(config["n_layer"])
    w.add_context_length(config["n_positions"])
    w.add_embedding_length(config["n_embd"])
    w.add_feed_forward_length(4 * config["n_embd"])
    w.add_head_count(config["n_head"])
    w.add_layer_norm_eps(config.get("layer_norm_epsilon", 1e-5))
    w.add_file_type(file_type)
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
        part, _, ending = name.rpartition(".")
        if part.startswith("h."):
            _, layer, part = part.split(".", 2)
            target = "blk.%s.%s.%s" % (layer, NAMES[part], ending)
            if array.ndim == 2:  # GPT-2 stores [in, out]
                array = array.T
        else:
            target = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}[part] + "." + ending
        array = np.ascontiguousarray(array)
        if matrix_type and array.ndim == 2 and part != "wpe":
            w.add_tensor(target, gguf.quants.quantize(array, matrix_type), raw_dtype=matrix_type)
        else:
            w.add_tensor(target, array)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.rename(path + ".part", path)


def setup(request):
    global log  # the library keeps its address
    log = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(log, None)
    llama.llama_backend_init()
    random, models, contexts = np.random.default_rng(0), {}, []

    def load(name):
        directory = os.path.join(request["folder"], name)
        path = "%s-%s.gguf" % (directory, request["type"])
        if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(os.path.join(directory, "config.json")):
            convert(directory, path, request["type"])
        model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        if not model:
            raise RuntimeError("could not load " + path)
        return model

    def prepare(work):
        model = models[work["model"]] = models.get(work["model"]) or load(work["model"])
        batch, tokens = work["batch"], work["tokens"]
        while contexts:
            llama.llama_free(contexts.pop())
        p = llama.llama_context_default_params()
        p.n_ctx, p.n_seq_max, p.n_threads, p.n_threads_batch = 1024 * batch, batch, request["threads"], request["threads"]
        p.n_batch = p.n_ubatch = max(tokens, batch, 64)
        contexts.append(llama.llama_init_from_model(model, p))
        memory = llama.llama_get_memory(contexts[0])
        if not memory:
            raise RuntimeError("could not make a context")

        def batch_of(sequences, positions, ids):
            """One token each; logits for the last of each sequence."""
            b = llama.llama_batch_init(len(ids), 0, 1)
            b.n_tokens = len(ids)
            for i, (s, position) in enumerate(zip(sequences, positions)):
                b.token[i], b.pos[i], b.n_seq_id[i] = int(ids[i]), position, 1
                b.seq_id[i][0], b.logits[i] = s, i + 1 == len(ids) or sequences[i + 1] != s
            return b

        def decode(b):
            if llama.llama_decode(contexts[0], b) != 0:
                raise RuntimeError("decoding failed")
            llama.llama_synchronize(contexts[0])

        vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        prompts = [batch_of([s] * tokens, range(tokens), random.integers(0, vocab, tokens)) for s in range(batch)]
        if work["form"] == "prefill":  # batch 1
            return lambda: decode(prompts[0]), lambda: llama.llama_memory_clear(memory, True)
        for prompt in prompts:
            decode(prompt)
        step = batch_of(range(batch), [tokens] * batch, random.integers(0, vocab, batch))

        def reset():
            for s in range(batch):
                llama.llama_memory_seq_rm(memory, s, tokens, -1)

        return lambda: decode(step), reset

    return prepare


if __name__ == "__main__":
    peer.serve("llama-cpp-python " + llama.__version__, setup)
