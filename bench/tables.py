"""The tables of docs/performance.md out of bench/run.py's results, and whether the goals are met."""
from common import table
from works import BATCHES, CONTEXTS, DEPTHS, ENCODED, LENGTHS, LONG, PEERS, ROWS, SHAPES, VOCAB, WIDTH, gpt2, name

OURS = {"f32": ("attnc f32",), "bf16": ("attnc bf16", "attnc math")}  # what a peer of a type is compared with: the best
SIZES = {"f32": 4, "bf16": 2, "math": 2}  # bytes of a weight


def gemm_name(m, k, n):
    return "gemm %dx%dx%d" % (m, k, n)


def prefill_flops(layers, tokens):
    """Products and causal attention of one prompt, head for the last token only."""
    return layers * (24 * WIDTH**2 * tokens + 2 * tokens**2 * WIDTH) + 2 * WIDTH * VOCAB


def decode_bytes(layers, kind, batch, context):
    """What one token of each sequence must read: all weights once, the tied embedding as the head, and the caches."""
    return SIZES[kind] * (12 * layers * WIDTH**2 + WIDTH * VOCAB + 2 * layers * WIDTH * batch * context)


class Times:
    """Least ms by peer and work."""

    def __init__(self, results):
        self.ms, self.names, self.peak = results["ms"], results["names"], results["peak"]

    def get(self, key, work):
        return self.ms.get(key, {}).get(work)

    def best(self, keys, work):
        return min((ms for ms in (self.get(k, work) for k in keys) if ms), default=None)

    def peers(self, kind, work):
        """The least time of those that are not ours."""
        return self.best([k for k, p in PEERS.items() if p.python and p.type == kind], work)

    def ratio(self, key, work):
        """The peer's time divided by ours, in parentheses; nothing for ours."""
        peer, ours = PEERS[key], None
        if peer.python:
            ours = self.best(OURS[peer.type], work)
        return " (%.2f×)" % (self.get(key, work) / ours) if ours else ""

    def rows(self, works, show):
        """A row for each peer that has one of the works; show(key, work, ms) is a cell without its ratio."""
        rows = []
        for key in PEERS:
            if any(self.get(key, w) for w in works):
                cells = [(w, self.get(key, w)) for w in works]
                rows.append([self.names[key]] + [show(key, w, ms) + self.ratio(key, w) if ms else "" for w, ms in cells])
        return rows


def gemm_table(t):
    keys, rows = [k for k in PEERS if any(w.startswith("gemm") for w in t.ms.get(k, {}))], []
    for m in ROWS:
        for k, n in SHAPES:
            work, row = gemm_name(m, k, n), []
            for key in keys:
                ms = t.get(key, work)
                row.append("%.0f %%" % (2e-4 * m * k * n / ms / t.peak["gflops"]) + t.ratio(key, work) if ms else "")
            if any(row):
                rows.append(["%d × %d × %d" % (m, k, n)] + row)
    return table(["M × K × N, share of the f32 peak"] + [t.names[k] for k in keys], rows)


def prefill_table(t):
    works = [name("prefill", gpt2(12), 1, tokens) for tokens in LENGTHS]
    rows = t.rows(works, lambda key, work, ms: "%.1f" % ms)
    for key in OURS["f32"] + OURS["bf16"]:
        if any(t.get(key, w) for w in works):
            shares = [(1e-4 * prefill_flops(12, tokens) / t.peak["gflops"], t.get(key, w)) for tokens, w in zip(LENGTHS, works)]
            rows.append(["share of the f32 peak, " + t.names[key]] + ["%.0f %%" % (flops / ms) if ms else "" for flops, ms in shares])
    return table(["GPT-2 124M prefill, ms"] + ["%d tokens" % tokens for tokens in LENGTHS], rows)


def decode_columns():
    """(batch, tokens in the cache)"""
    return [(1, tokens) for tokens in CONTEXTS] + [(batch, CONTEXTS[0]) for batch in BATCHES if batch > 1]


def decode_table(t):
    columns = decode_columns()
    works = [name("decode", gpt2(12), *c) for c in columns]
    batches = {w: batch for w, (batch, _) in zip(works, columns)}
    rows = t.rows(works, lambda key, work, ms: "%.1f" % (1e3 * batches[work] / ms))
    for key in OURS["f32"] + OURS["bf16"]:
        shares = [(bandwidth_share(t, key, *c)) for c in columns]
        if any(shares):
            rows.append(["share of reading, " + t.names[key]] + ["%.0f %%" % (100 * s) if s else "" for s in shares])
    return table(["GPT-2 124M decode, tokens/s"] + ["batch %d after %d" % c for c in columns], rows)


def bandwidth_share(t, key, batch, context):
    ms = t.get(key, name("decode", gpt2(12), batch, context))
    return 1e-6 * decode_bytes(12, PEERS[key].type, batch, context) / ms / t.peak["read_gbs"] if ms else None


def encode_table(t):
    works = [name("encode", "minilm", *shape) for shape in ENCODED]
    return table(["MiniLM-L6-v2, ms"] + ["batch %d, %d tokens" % shape for shape in ENCODED],
                 t.rows(works, lambda key, work, ms: "%.2f" % ms))


def layers_table(t):
    works = [name(form, gpt2(depth), 1, tokens) for form, tokens in (("prefill", 512), ("decode", CONTEXTS[0])) for depth in DEPTHS]
    rows = [r for r in t.rows(works, lambda key, work, ms: "%.1f" % ms) if r[1] or r[3]]
    return table(["ms by layers"] + ["%s, %d layers" % (form, depth) for form in ("prefill 512", "decode at %d" % CONTEXTS[0]) for depth in DEPTHS], rows)


def threads_table(t, threads):
    works = [name("prefill", gpt2(12), 1, 512), name("decode", gpt2(12), 1, CONTEXTS[0])]
    pairs, rows = [(w + " on 1", w) for w in works], []
    for key in PEERS:
        if any(t.get(key, one) for one, _ in pairs):
            row = [t.names[key]]
            for one, many in pairs:
                a, b = t.get(key, one), t.get(key, many)
                row += ["%.1f" % a + t.ratio(key, one) if a else "", "%.1f" % b + t.ratio(key, many) if b else "", "%.2f×" % (a / b) if a and b else ""]
            rows.append(row)
    header = [part % what for what in ("prefill 512", "decode at %d" % CONTEXTS[0]) for part in ("%s, 1 thread", "%%s, %d threads" % threads, "%s, gain")]
    return table(["GPT-2 124M, ms by threads"] + header, rows)


def first_table(t):
    work, prefill = name("first", gpt2(12), 1, 128), name("prefill", gpt2(12), 1, 128)
    rows = [r + ["%.0f" % (t.get(k, work) - t.get(k, prefill)) if t.get(k, prefill) else ""]
            for k in PEERS if t.get(k, work) for r in [[t.names[k], "%.0f" % t.get(k, work) + t.ratio(k, work)]]]
    return table(["A new process, GPT-2 124M, 128 tokens", "to the first token, ms", "beyond prefill, ms"], rows)


def compile_table(results):
    rows = []
    for label, c in results["compile"].items():
        rows.append([label.partition(" ")[2], "%.2f" % c["seconds"], "%.0f" % (c["max_rss"] / 2**20), "%.0f" % ((c["max_rss"] - c["source_bytes"]) / 2**20),
                     "%.0f" % (c["weights_bytes"] / 2**20), "%.0f" % ((c["file_bytes"] - c["weights_bytes"]) / 1024), "%.2f" % c["load_ms"]])
    return table(["model, target", "compile, s", "largest resident set, MiB", "beyond the mapped weights, MiB", "weights, MiB",
                  "file without weights, KiB", "load, ms"], rows)


def goals(results):
    """(what, measured, format, goal, whether at least). None where it was not measured."""
    t, gpt, prefills = Times(results), gpt2(12), {n: name("prefill", gpt2(12), 1, n) for n in LENGTHS}

    def divided(a, b):
        return a / b if a and b else None

    def gemm(rows):
        shares = [(2e-6 * m * k * n, t.get("attnc f32", gemm_name(m, k, n))) for m in rows for k, n in SHAPES]
        return min((flops / ms / t.peak["gflops"] for flops, ms in shares if ms), default=None)

    percent, ratio = lambda x: "%.0f %%" % (100 * x), lambda x: "%.2f" % x
    yield "GEMM f32, M ≥ 512: least share of the peak", gemm([m for m in ROWS if m >= 512]), percent, 0.88, True
    yield "GEMM f32, M = 128: least share of the peak", gemm([128]), percent, 0.84, True
    for tokens, share, torch in ((128, 0.74, 0.8), (512, 0.84, 0.75), (1024, 0.84, 0.75)):
        ours, what = t.get("attnc f32", prefills[tokens]), "prefill %d f32" % tokens
        yield what + ": share of the peak", divided(1e-6 * prefill_flops(12, tokens) / t.peak["gflops"], ours), percent, share, True
        yield what + " / PyTorch", divided(ours, t.get("torch f32", prefills[tokens])), ratio, torch, False
        if tokens > 128:
            yield what + " / OpenVINO", divided(ours, t.get("openvino f32", prefills[tokens])), ratio, 0.85, False
    for tokens in (128, 512, 1024):
        ours = t.best(OURS["bf16"], prefills[tokens])
        yield "prefill %d, bf16 / f32" % tokens, divided(ours, t.get("attnc f32", prefills[tokens])), ratio, 1, False
        yield "prefill %d bf16 / best peer" % tokens, divided(ours, t.peers("bf16", prefills[tokens])), ratio, 0.6, False
    for context in CONTEXTS:
        decode = name("decode", gpt, 1, context)
        yield "decode f32 after %d: share of reading" % context, bandwidth_share(t, "attnc f32", 1, context), percent, 0.95, True
        for kind, goal in (("f32", 1), ("bf16", 1.2)):
            speed = divided(t.get("llama " + kind, decode), t.best(OURS[kind], decode))
            yield "decode %s after %d: tokens/s / llama.cpp" % (kind, context), speed, ratio, goal, True
    one, eight = (t.get("attnc f32", name("decode", gpt, batch, CONTEXTS[0])) for batch in (1, 8))
    yield "decode f32: tokens/s of batch 8 / batch 1", divided(one and 8 * one, eight), ratio, 6, True
    for shape, goal in zip(ENCODED, (0.9, 0.97, 0.9)):
        work = name("encode", "minilm", *shape)
        yield "MiniLM batch %d, %d tokens f32 / best peer" % shape, divided(t.get("attnc f32", work), t.peers("f32", work)), ratio, goal, False
    first, prefill = t.get("attnc f32", name("first", gpt, 1, 128)), t.get("attnc f32", prefills[128])
    yield "load to first token beyond prefill, ms", first - prefill if first and prefill else None, lambda x: "%.0f" % x, 30, False
    for target, seconds in (("native", 4), ("portable", 10)):
        c = results["compile"].get("compile %s %s" % (gpt, target))
        yield "compile, %s, s" % target, c and c["seconds"], ratio, seconds, False
        yield "compile, %s: beyond the mapped weights, MiB" % target, c and (c["max_rss"] - c["source_bytes"]) / 2**20, lambda x: "%.0f" % x, 1024, False
    m = results.get("memory")
    yield ("prefill %d: beyond weights and cache, MB" % LONG, m and (m["max_rss"] - m["weights_bytes"] - m["cache_bytes"]) / 1e6,
           lambda x: "%.0f" % x, 64, False)


def goals_table(results):
    rows = []
    for what, value, show, goal, at_least in goals(results):
        if value is not None:
            met = value >= goal if at_least else value <= goal
            rows.append([what, show(value), ("≥ " if at_least else "≤ ") + show(goal), "yes" if met else "no"])
    return table(["goal", "measured", "wanted", "met"], rows)


def report(results, options):
    t, m = Times(results), results["peak"]
    text = ["Lengths and models are a fraction of what is written below; these numbers mean nothing."] if results["quick"] else []
    pair = lambda what, unit: "%.0f and %.0f %s" % (m[what], m[what + "_1"], unit)
    limits = [pair("gflops", "GFLOP/s f32")] + ([pair("bf16_gflops", "bf16 dot products")] if "bf16_gflops" in m else [])
    text += ["Machine: %s, %d threads. Measured in the same run, together and one core: %s, %.1f and %.1f GB/s reading. " % (
        results["cpu"], results["threads"], ", ".join(limits), m["read_gbs"], m["read_gbs_1"])]
    text[-1] += "".join({"Variant %s. " % c["variant"] for c in results["compile"].values()})
    text[-1] += "Best of all calls in %d rounds of %g s; their time divided by ours of the same type in parentheses." % (options.rounds, options.min_time)
    text += ["![How cost grows](performance.svg)"] if options.write else []
    parts = [goals_table(results), gemm_table(t), prefill_table(t), decode_table(t), encode_table(t), layers_table(t),
             threads_table(t, results["threads"]), first_table(t), compile_table(results)]
    return "\n\n".join(text + [p for p in parts if p.count("\n") > 1])
