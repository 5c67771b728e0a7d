"""PyTorch eager, float32, on a GPT-2 directory. Needs torch and transformers; prints one JSON object.

usage: torch_gpt2.py DIRECTORY --threads 2 --prefill 128,512 --decode 128 --min-time 2
"""
import json
import time

import torch
import transformers

import peer

options = peer.arguments()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
start = time.perf_counter()
model = transformers.GPT2LMHeadModel.from_pretrained(options.directory, dtype=torch.float32).eval()
result = {"name": "PyTorch %s eager f32" % torch.__version__.split("+")[0], "load_s": time.perf_counter() - start, "prefill": []}
with torch.inference_mode():
    for length in map(int, options.prefill.split(",")):
        ids = torch.randint(0, model.config.vocab_size, (1, length))
        run = peer.measure(lambda: model(ids, use_cache=False, logits_to_keep=1), options.min_time)
        result["prefill"].append(dict(run, tokens=length))
    # One more token with `decode` tokens in the cache, which is cut back after every run.
    ids = torch.randint(0, model.config.vocab_size, (1, options.decode))
    cache = model(ids, use_cache=True).past_key_values

    def step():
        model(ids[:, :1], past_key_values=cache, use_cache=True)
        cache.crop(-1)  # removes one

    result["decode"] = dict(peer.measure(step, options.min_time), context=options.decode)
print(json.dumps(result))
