"""PyTorch eager, float32, on a GPT-2 directory. Needs torch and transformers; prints one JSON object.

usage: torch_gpt2.py DIRECTORY --threads 2 --prefill 128,512 --decode 128 --min-time 2
"""
import argparse
import json
import time

import torch
import transformers


def measure(function, min_seconds):
    """Minimum and median ms of at least 3 runs after one to warm up, as attn-bench does."""
    function()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < min_seconds:
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    return {"min_ms": times[0], "median_ms": times[len(times) // 2], "runs": len(times)}


parser = argparse.ArgumentParser()
parser.add_argument("directory")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--prefill", default="128,512")
parser.add_argument("--decode", type=int, default=128)
parser.add_argument("--min-time", type=float, default=2)
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
start = time.perf_counter()
model = transformers.GPT2LMHeadModel.from_pretrained(options.directory, dtype=torch.float32).eval()
result = {"name": "PyTorch %s eager f32" % torch.__version__.split("+")[0], "load_s": time.perf_counter() - start, "prefill": []}
with torch.inference_mode():
    for length in map(int, options.prefill.split(",")):
        ids = torch.randint(0, model.config.vocab_size, (1, length))
        run = measure(lambda: model(ids, use_cache=False, logits_to_keep=1), options.min_time)
        result["prefill"].append(dict(run, tokens=length))
    # One more token with `decode` tokens in the cache, which is cut back after every run.
    ids = torch.randint(0, model.config.vocab_size, (1, options.decode))
    cache = model(ids, use_cache=True).past_key_values

    def step():
        model(ids[:, :1], past_key_values=cache, use_cache=True)
        cache.crop(-1)  # removes one

    result["decode"] = dict(measure(step, options.min_time), context=options.decode)
print(json.dumps(result))
