# RUN: %python %s
"""The cross part of a state: keys and values of an encoder's output, filled once and read by every step of a decoder."""
import numpy as np

import model_file as mf
from harness import Model, Module, Report, State, compile_module, each_variant, tensor, tolerance
from reference.attention import packed
from reference.safetensors import round_to

report = Report("cross cache")
random = report.random
ARTICLE = 1600  # longest one: several blocks of keys


class Config:
    """Two layers. `encode` takes their cross keys and values; `prefill` and `decode` attend to their own and to those."""

    def __init__(self, heads, kv_heads, dim, dim_v, kind="f32", bounded=True):
        self.heads, self.kv_heads, self.dim, self.dim_v, self.kind = heads, kv_heads, dim, dim_v, kind
        self.label = "H%d/%d D%d/%d %s" % (heads, kv_heads, dim, dim_v, kind)
        cache = "!attn.cache<2x%dx%dx%dx%s" % (kv_heads, dim, dim_v, kind)
        cache, cross = cache + ">", cache + ", cross>"
        q, k, v, out = (tensor(("?", "?", n)) for n in (heads * dim, kv_heads * dim, kv_heads * dim_v, heads * dim_v))
        mask, dims, self.module = tensor("??", "i64"), ["batch", "seq"], Module()
        # Through a function: which input is the mask follows from the calls.
        self.module.functions.append(
            "func.func private @fill(%%k: %s, %%v: %s, %%mask: %s, %%cross: %s, %%layer: index) {\n"
            "  attn.cache_append %%k, %%v to %%cross[%%layer] key_mask %%mask : %s, %s, %s, %s\n  return\n}" % (k, v, mask, cross, k, v, cross, mask))
        body = "%l0 = arith.constant 0 : index\n%l1 = arith.constant 1 : index\n"
        self.module.entry(
            "encode", [("key0", k, dims), ("value0", v, dims), ("key1", k, dims), ("value1", v, dims), ("attention_mask", mask, dims, True),
                       ("cross", cross)], [("hidden", k, "%key0")],
            body + "".join("call @fill(%%key%d, %%value%d, %%attention_mask, %%cross, %%l%d) : (%s, %s, %s, %s, index) -> ()\n" % (n, n, n, k, v, mask, cross)
                           for n in (0, 1)), {"seq": (1, ARTICLE)} if bounded else None)
        heads_of = "num_heads = %d : i64, num_kv_heads = %d : i64" % (heads, kv_heads)
        for name, seq in (("prefill", "?"), ("decode", 1)):
            q, k, v, out = (tensor(("?", seq, n)) for n in (heads * dim, kv_heads * dim, kv_heads * dim_v, heads * dim_v))
            dims, more, results = ["batch"] + ["seq"] * (seq == "?"), "", []
            for n in (0, 1):
                more += "attn.cache_append %%key, %%value to %%cache[%%l%d] : %s, %s, %s\n" % (n, k, v, cache)
                more += "%%own%d = attn.attention %%query cache %%cache[%%l%d] {causal, %s} : (%s, %s, index) -> %s\n" % (n, n, heads_of, q, cache, out)
                more += "%%cross%d = attn.attention %%query cache %%cross[%%l%d] {%s} : (%s, %s, index) -> %s\n" % (n, n, heads_of, q, cross, out)
                results += [("own%d" % n, out, "%%own%d" % n), ("cross%d" % n, out, "%%cross%d" % n)]
            self.module.entry(name, [("query", q, dims), ("key", k, dims), ("value", v, dims), ("cross", cross), ("cache", cache)],
                              results, body + more)

    def features(self, batch, seq, width):
        return random.standard_normal((batch, seq, width)).astype(np.float32)

    def article(self, batch, seq):
        given = {}
        for n in "01":
            given["key" + n] = self.features(batch, seq, self.kv_heads * self.dim)
            given["value" + n] = self.features(batch, seq, self.kv_heads * self.dim_v)
        return given

    def tokens(self, batch, seq):
        return {"query": self.features(batch, seq, self.heads * self.dim), "key": self.features(batch, seq, self.kv_heads * self.dim),
                "value": self.features(batch, seq, self.kv_heads * self.dim_v)}

    def expected(self, article, mask, tokens):
        stored = lambda x: round_to(x, self.kind)
        attend = lambda k, v, **more: packed(tokens["query"], stored(k), stored(v), self.heads, self.kv_heads, **more)
        own = attend(tokens["key"], tokens["value"], causal=True)
        cross = [attend(article["key" + n], article["value" + n], key_mask=mask) for n in "01"]
        return {"own0": own, "own1": own, "cross0": cross[0], "cross1": cross[1]}

    def limit(self, keys):
        return tolerance(keys) if self.kind == "f32" else 2e-5


def masks(batch, seq):
    """Padding on the right, on the left, holes, and rows of all kinds with one that sees nothing."""
    valid = random.integers(1, seq + 1, (batch, 1))
    at = np.arange(seq)
    right, left, holes = at < valid, at >= seq - valid, random.random((batch, seq)) < 0.6
    mixed = np.where(np.arange(batch)[:, None] % 2, left, holes)
    mixed[0] = False
    for keep in (right, left, holes, mixed):
        yield np.where(keep, random.choice([1, -1, 256, 1 << 40], (batch, seq)), 0)


def steps(model, state, slots, tokens, first):
    """`first` tokens at once, the others one by one; all results along the sequence."""
    parts, seq = [], tokens["query"].shape[1]
    for begin, end in [(0, first)] + [(s, s + 1) for s in range(first, seq)]:
        name = "decode" if end - begin == 1 else "prefill"
        parts.append(model.run(name, {n: a[:, begin:end] for n, a in tokens.items()}, state, slots))
    return {name: np.concatenate([part[name] for part in parts], 1) for name in parts[0]}


def check_masks(model, config):
    for batch, length, page in [(1, 1, 64), (3, 13, 0), (2, 65, 128), (4, 200, 64), (2, ARTICLE, 192)]:
        article, tokens = config.article(batch, length), config.tokens(batch, 7)
        for mask in [None, *masks(batch, length)]:
            label = "%s %s B%d S%d %s" % (model.variant, config.label, batch, length, "no mask" if mask is None else "mask")
            slots = [int(s) for s in random.permutation(batch + 2)[:batch]]
            state = State(model, batch + 2, 40, page)
            hidden = model.run("encode", article if mask is None else dict(article, attention_mask=mask), state, slots)["hidden"]
            report.equal(label + " hidden", hidden, article["key0"])
            visible = np.full(batch, length) if mask is None else (mask != 0).sum(1)
            for row, slot in enumerate(slots):
                report.expect(label, [state.length(slot), state.op(mf.CROSS_LENGTH, slot)] == [0, visible[row]],
                              "expected %d tokens, got %d" % (visible[row], state.op(mf.CROSS_LENGTH, slot)))
            expected, got = config.expected(article, mask, tokens), steps(model, state, slots, tokens, 5)
            for name in got:
                report.close("%s %s" % (label, name), got[name], expected[name], config.limit(length), floor=0.02)
            report.expect(label, all(state.length(slot) == 7 for slot in slots), "expected 7 tokens of its own")
            state.close()


def check_slots(model, config):
    """Forks share the article; clearing and truncating; what is refused."""
    variant = model.variant
    article, tokens = config.article(2, 150), config.tokens(2, 6)
    mask = next(masks(2, 150))
    expected = config.expected(article, mask, tokens)
    encode = dict(article, attention_mask=mask)
    state = State(model, 6, 100)
    model.run("encode", encode, state, [4, 1])
    report.status(variant + " encode twice", mf.CACHE_FULL, model.run, "encode", encode, state, [1, 4],
                  saying="encode: expected an empty cross part of slot 1, got %d tokens: clear the slot first" % (mask[1] != 0).sum())
    report.expect(variant + " lengths", [state.op(mf.CROSS_LENGTH, s) for s in range(6)] == [0, (mask[1] != 0).sum(), 0, 0, (mask[0] != 0).sum(), 0], "lengths changed")
    used = state.used()
    for beam, verb in ((0, mf.FORK), (2, mf.FORK), (3, mf.COPY)):
        state.op(verb, beam, 4)
        pages = used + (-(-int((mask[0] != 0).sum()) // 64) if verb == mf.COPY else 0)
        report.expect(variant + " beam", state.used() == pages, "expected %d pages in use, got %d" % (pages, state.used()))
    first = {n: a[:1] for n, a in tokens.items()}
    for slot in (2, 3, 0, 4):  # each with its own tokens over one article
        got = steps(model, state, [slot], first, 3)
        for name in got:
            report.close("%s slot %d %s" % (variant, slot, name), got[name], expected[name][:1], config.limit(150), floor=0.02)
    again = config.tokens(1, 2)
    before = model.run("prefill", again, state, [2])
    state.op(mf.TRUNCATE, 2, 6)  # steps back; the article stays
    report.equal(variant + " again", model.run("prefill", again, state, [2])["cross1"], before["cross1"])
    state.op(mf.CLEAR, 4)
    report.expect(variant + " clear", [state.length(4), state.op(mf.CROSS_LENGTH, 4)] == [0, 0], "expected an empty slot")
    state.op(mf.TRUNCATE, 2, 0)
    report.expect(variant + " truncate", [state.length(2), state.op(mf.CROSS_LENGTH, 2)] == [0, (mask[0] != 0).sum()], "expected the cross part to stay")
    report.equal(variant + " others stay", steps(model, state, [2], first, 3)["cross0"], got["cross0"])
    # Without an article every row is one that sees nothing; and a slot that was cleared takes another.
    report.equal(variant + " no article", model.run("prefill", again, state, [5])["cross0"], np.zeros_like(before["cross0"]))
    shorter = {n: a[:, :9] for n, a in article.items()}
    model.run("encode", {n: a[1:] for n, a in shorter.items()}, state, [4])
    report.close(variant + " another", steps(model, state, [4], first, 6)["cross1"],
                 config.expected({n: a[1:] for n, a in shorter.items()}, None, first)["cross1"], config.limit(9), floor=0.02)
    # Moved byte for byte; a cross length that cannot be is found.
    moved = mf.Guarded(state.memory.size, 64, name="moved state")
    moved.bytes[:] = state.memory.bytes
    other = State.__new__(State)
    other.model, other.memory, other.handle = model, moved, mf.c_void_p()
    model.checked("state_attach", moved.address, moved.size, mf.byref(other.handle))
    report.equal(variant + " moved", steps(model, other, [2], first, 6)["cross1"], steps(model, state, [2], first, 6)["cross1"])
    moved.bytes[96 + 4 * 6 :].view(np.int32)[1] = ARTICLE + 64
    report.status(variant + " attach", mf.CORRUPT_FILE, model.checked, "state_attach", moved.address, moved.size, mf.byref(other.handle),
                  saying="state: expected lengths from 0 to %d, got %d" % (ARTICLE, ARTICLE + 64))
    moved.free()
    for slot in range(6):
        state.op(mf.CLEAR, slot)
    report.expect(variant + " pages", state.used() == 0, "expected no page in use, got %d" % state.used())
    state.close()
    report.status(variant + " pool", mf.UNSUPPORTED, State, model, 2, 64, 0, 7, saying="pool: expected a model without a cross cache")


def check_schedules(path, variant, config):
    """Any order of tasks gives the same bits; a run that is cancelled leaves the slot empty."""
    article, tokens, mask, first = config.article(2, 130), config.tokens(2, 4), None, None
    for mask in masks(2, 130):
        pass
    for workers, schedule in ((1, "serial"), (4, "shuffle"), (3, "threads"), (3, "gang")):
        with Model(path, variant, workers, schedule) as model:
            state = State(model, 2, 64)
            model.run("encode", dict(article, attention_mask=mask), state)
            got = steps(model, state, [0, 1], tokens, 2)
            first = first or got
            for name in got:
                report.equal("%s %s %s" % (variant, schedule, name), got[name], first[name])
            state.close()
    stop = [True]
    with Model(path, variant, poll=lambda done, total: int(stop[0] and done >= 1)) as model:
        state = State(model, 2, 64)
        report.status(variant + " cancelled", mf.CANCELLED, model.run, "encode", article, state)
        report.expect(variant + " cancelled", [state.op(mf.CROSS_LENGTH, 0), state.used()] == [0, 0], "expected an empty slot")
        stop[0] = False
        model.run("encode", dict(article, attention_mask=mask), state)
        report.equal(variant + " after cancelling", steps(model, state, [0, 1], tokens, 2)["cross1"], first["cross1"])
        state.close()


for number, sizes in enumerate([(2, 2, 8, 8), (13, 1, 13, 5), (4, 2, 64, 24), (2, 1, 8, 8, "bf16")]):
    config = Config(*sizes)
    path = compile_module(config.module)
    for variant in each_variant(path):
        with Model(path, variant) as model:
            check_masks(model, config)
            if number < 2:
                check_slots(model, config)
        if number == 0:
            check_schedules(path, variant, config)

# Articles without a bound: the cross part is as long as the capacity.
config = Config(2, 2, 8, 8, bounded=False)
with Model(compile_module(config.module)) as model:
    state = State(model, 2, 100)
    report.status("article of 129 tokens", mf.CACHE_FULL, model.run, "encode", config.article(1, 129), state,
                  saying="encode: expected at most 128 tokens for the cross part of slot 0, got 129")
    model.run("encode", dict(config.article(1, 129), attention_mask=np.arange(129)[None] % 5), state)
    report.expect("visible tokens", state.op(mf.CROSS_LENGTH, 0) == 103, "expected 103 tokens, got %d" % state.op(mf.CROSS_LENGTH, 0))
    state.close()
report.finish()
