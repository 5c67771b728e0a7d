"""PyTorch SDPA and compiled FlexAttention on the cases of bench/attention.py, a JSON list on standard input.
Needs torch and, for FlexAttention, a C++ compiler; prints one JSON object: least ms by case and kind.

usage: torch_attention.py --threads 2 --min-time 3 < CASES.json
"""
import argparse
import itertools
import json
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import peer


def flex(case, q, k, v):
    """The call of a form, compiled."""
    seq, heads, left = case["seq"], case["heads"], case["left"]
    ids = torch.arange(seq) // case["document"]
    slopes = torch.tensor([2.0 ** (-8 * (h + 1) / heads) for h in range(heads)])
    masks = {"window": lambda b, h, i, j: (i >= j) & (i - j <= left), "documents": lambda b, h, i, j: (ids[i] == ids[j]) & (i >= j)}
    scores = {"ALiBi": lambda s, b, h, i, j: s + slopes[h] * (j - i), "soft cap": lambda s, b, h, i, j: 20 * torch.tanh(s / 20),
              "no-op score region": lambda s, b, h, i, j: s}
    mask = masks.get(case["form"], lambda b, h, i, j: i >= j)
    blocks = create_block_mask(mask, None, None, seq, seq, device="cpu")
    torch._dynamo.reset()
    compiled = torch.compile(flex_attention)
    return lambda: compiled(q, k, v, score_mod=scores.get(case["form"]), block_mask=blocks)


def decode(case):
    """One query over caches that take turns; appending is not measured."""
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[case["dtype"]]
    q = torch.randn(1, case["heads"], 1, case["dim"], dtype=kind)
    k, v = (torch.randn(1, case["kv_heads"], case["seq"], case["dim"], dtype=kind) for _ in "kv")
    caches = itertools.cycle([(k.clone(), v.clone()) for _ in range(case["copies"])])
    return lambda: F.scaled_dot_product_attention(q, *next(caches), enable_gqa=True)


def measure(case, min_time, known):
    """{"sdpa": ms, "flex": ms}, as far as the case has them; `known` keeps what FlexAttention was measured on."""
    if case["form"] == "linear":
        return {}
    if case["form"] == "decode":
        return {"sdpa": peer.measure(decode(case), min_time)["min_ms"]}
    q, k, v = (torch.randn(1, case["heads"], case["seq"], case["dim"]) for _ in "qkv")
    result, causal = {}, case["form"] == "causal"
    if causal or case["form"] == "full":
        result["sdpa"] = peer.measure(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal), min_time)["min_ms"]
    key = (case["form"], case["seq"], case["dim"], case["heads"])
    # FlexAttention: where forms are compared. Compiling takes a while.
    if case["form"] != "full" and case["name"].endswith("D64 S4096"):
        if key not in known:
            try:
                known[key] = peer.measure(flex(case, q, k, v), min_time)["min_ms"]
            except Exception as error:  # whatever its compiler may raise
                print("torch_attention: %s: %s" % (case["name"], str(error)[:300].replace("\n", " ")), file=sys.stderr)
                known[key] = None
        result["flex"] = known[key]
    return result


parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--min-time", type=float, default=2)
options = parser.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)
results, known = {}, {}
with torch.no_grad():
    for case in json.load(sys.stdin):
        results[case["name"]] = measure(case, options.min_time, known)
print(json.dumps({"name": "PyTorch %s" % torch.__version__.split("+")[0], "cases": results}))
