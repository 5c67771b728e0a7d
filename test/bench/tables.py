# RUN: %python %s
"""bench/tables.py and plots.py on made-up times: ratios, shares, goals met or not, works that nobody measured."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import plots
import tables
import works
from common import table


class Options:
    rounds, min_time, write = 3, 0.7, False


def expect(text, *parts):
    for part in parts:
        assert part in text, "expected %r in\n%s" % (part, text)


results = {
    "cpu": "X", "quick": False, "threads": 2,
    "compile": {"compile gpt2-12 native": {"seconds": 3.5, "max_rss": 600 << 20, "source_bytes": 475 << 20, "weights_bytes": 474 << 20,
                                           "file_bytes": (474 << 20) + 2048, "load_ms": 0.25, "variant": "v"}},
    "memory": {"max_rss": 1200 * 10**6, "weights_bytes": 500 * 10**6, "cache_bytes": 604 * 10**6},
    "peak": {"gflops": 200.0, "gflops_1": 100.0, "read_gbs": 30.0, "read_gbs_1": 20.0},
    "names": {k: k for k in works.PEERS},
    "ms": {
        "attnc f32": {"gemm 128x768x768": 1.0, "prefill gpt2-12 1x512": 500.0, "prefill gpt2-12 1x1024": 1000.0, "decode gpt2-12 1x128": 20.0,
                      "decode gpt2-12 8x128": 25.0, "prefill gpt2-12 1x512 on 1": 900.0, "encode minilm 1x16": 2.0},
        "attnc bf16": {"prefill gpt2-12 1x512": 450.0, "decode gpt2-12 1x128": 10.0},
        "attnc math": {"prefill gpt2-12 1x512": 300.0},
        "torch f32": {"gemm 128x768x768": 1.5, "prefill gpt2-12 1x512": 750.0, "encode minilm 1x16": 2.5},
        "openvino f32": {"encode minilm 1x16": 2.1},
        "llama bf16": {"prefill gpt2-12 1x512": 600.0, "decode gpt2-12 1x128": 11.0},
    },
}
text = tables.report(results, Options)
# 2 · 128 · 768 · 768 operations in 1 ms are 151 GFLOP/s.
expect(text, "| 128 × 768 × 768 | 75 % | 50 % (1.50×) |", "| GEMM f32, M = 128: least share of the peak | 75 % | ≥ 84 % | no |")
# 24 · 768² · 512 · 12 + 2 · 512² · 768 · 12 + 2 · 768 · 50257 operations; a peer of bf16 is compared with our better one.
expect(text, "| torch f32 |  |  | 750.0 (1.50×) |  |", "| llama bf16 |  |  | 600.0 (2.00×) |  |", "| share of the f32 peak, attnc f32 |  |  | 92 % |",
       "| prefill 512 f32 / PyTorch | 0.67 | ≤ 0.75 | yes |", "| prefill 512, bf16 / f32 | 0.60 | ≤ 1.00 | yes |",
       "| prefill 512 bf16 / best peer | 0.50 | ≤ 0.60 | yes |")
assert "OpenVINO |" not in text.replace("| prefill", ""), "a goal of works that were not measured"
# 4 · (12 · 12 · 768² + 768 · 50257 + 2 · 12 · 768 · 128) bytes in 20 ms.
expect(text, "| attnc f32 | 50.0 |  |  |  | 320.0 |  |", "| share of reading, attnc f32 | 84 % |", "| decode f32: tokens/s of batch 8 / batch 1 | 6.40 | ≥ 6.00 | yes |",
       "| decode bf16 after 128: tokens/s / llama.cpp | 1.10 | ≥ 1.20 | no |")
expect(text, "| MiniLM batch 1, 16 tokens f32 / best peer | 0.95 | ≤ 0.90 | no |", "| attnc f32 | 900.0 | 500.0 | 1.80× |")
expect(text, " GB/s reading. Variant v. Best of all calls in 3 rounds of 0.7 s;", "| gpt2-12 native | 3.50 | 600 | 125 | 474 | 2 | 0.25 |", "| compile, native, s | 3.50 | ≤ 4.00 | yes |",
       "| compile, native: beyond the mapped weights, MiB | 125 | ≤ 1024 | yes |", "| prefill 8192: beyond weights and cache, MB | 96 | ≤ 64 | no |")
assert "bf16 dot" not in text and "performance.svg" not in text
results["peak"].update(bf16_gflops=400.0, bf16_gflops_1=200.0)
Options.write = True
expect(tables.report(results, Options), "400 and 200 bf16 dot products", "![How cost grows](performance.svg)")
assert table(["a", "b"], [[1, 2]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"

with tempfile.TemporaryDirectory() as folder:
    plots.write(results, folder)
    with open(os.path.join(folder, "performance.svg"), encoding="utf-8") as file:
        expect(file.read(), "prefill, tokens/s by prompt", "decode, tokens/s by batch", "attnc f32")
    os.remove(os.path.join(folder, "performance.svg"))
    plots.write(dict(results, ms={}), folder)
    assert not os.listdir(folder)

# Every work has its own name, and each peer something to do.
for quick in (False, True):
    names = [w["name"] for w in works.all_works(quick, 2)]
    assert len(set(names)) == len(names)
    assert all(works.works_of(p, works.all_works(quick, 2)) for p in works.PEERS.values())
