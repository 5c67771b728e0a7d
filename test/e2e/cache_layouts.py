# RUN: %python %s
"""How a cache's pages lie never shows in a result: sizes of pages, tables in any order, forks, shared prefixes, rings."""
import numpy as np

import model_file as mf
from harness import CompileError, Model, Module, Report, State, compile_module, each_variant, tensor, tolerance
from reference.attention import packed

report = Report("cache layouts")
random = report.random
HEADS, KV_HEADS, DIM, SEQ = 2, 1, 16, 70
LENGTH = 704  # of the longest sequences: one page of 704 tokens holds it, and a ring of 64 goes round twice


class Layers:
    """Two layers over one cache, the second on the result of the first; `window` keys back and the first `sinks`."""

    def __init__(self, window=None, sinks=0, kind="f32"):
        self.window, self.sinks, self.kind = window, sinks, kind
        self.name = "%s window %s sinks %d" % (kind, window, sinks)
        self.module = Module()
        q, kv, dims = tensor(("?", "?", HEADS * DIM)), tensor(("?", "?", DIM)), ["batch", "seq"]
        cache = "!attn.cache<2x%dx%dx%dx%s>" % (KV_HEADS, DIM, DIM, kind)
        attributes = "causal, num_heads = %d : i64, num_kv_heads = %d : i64" % (HEADS, KV_HEADS)
        if window is not None:
            attributes += ", window_left = %d : i64, sinks = %d : i64" % (window, sinks)
        body, query = "%l0 = arith.constant 0 : index\n%l1 = arith.constant 1 : index\n", "%query"
        for layer in range(2):
            body += "attn.cache_append %%key%d, %%value%d to %%cache[%%l%d] : %s, %s, %s\n" % (layer, layer, layer, kv, kv, cache)
            body += "%%y%d = attn.attention %s cache %%cache[%%l%d] {%s} : (%s, %s, index) -> %s\n" % (layer, query, layer, attributes, q, cache, q)
            query = "%%y%d" % layer
        arguments = [("query", q, dims)] + [(n, kv, dims) for n in ("key0", "value0", "key1", "value1")] + [("cache", cache)]
        self.module.entry("run", arguments, [("out", q, "%y1")], body, {"seq": (1, SEQ)})

    def inputs(self, length=LENGTH):
        return {n: random.standard_normal((1, length, width)).astype(np.float32)
                for n, width in [("query", HEADS * DIM), ("key0", DIM), ("value0", DIM), ("key1", DIM), ("value1", DIM)]}

    def expected(self, given):
        options = {"window_left": self.window, "sinks": self.sinks} if self.window is not None else {}
        x = given["query"]
        for layer in "01":
            x = packed(x, given["key" + layer], given["value" + layer], HEADS, KV_HEADS, causal=True, **options)
        return x


class Player:
    """Feeds a sequence into a slot, piece by piece, from any position on."""

    def __init__(self, model, given, cuts):
        self.model, self.given, self.cuts = model, given, cuts

    def play(self, state, slot, begin=0, end=LENGTH):
        """Appends [begin, end) in the pieces that all layouts use; returns the results."""
        cuts = [begin] + [c for c in self.cuts if begin < c < end] + [end]
        pieces = [self.model.run("run", {n: a[:, low:high] for n, a in self.given.items()}, state, [slot])["out"]
                  for low, high in zip(cuts, cuts[1:])]
        return np.concatenate(pieces, 1)


def cuts_of(length):
    """Pieces of one token and of many, up to SEQ."""
    cuts = [0]
    while cuts[-1] < length:
        cuts.append(min(length, cuts[-1] + int(random.integers(1, 4) if random.integers(0, 3) == 0 else random.integers(1, SEQ + 1))))
    return cuts[1:]


def pages_for(tokens, page):
    return -(-tokens // page)


def check(model, layers):
    label = "%s %s" % (model.variant, layers.name)
    windowed = layers.window is not None
    given, cuts = layers.inputs(), cuts_of(LENGTH)
    player = Player(model, given, cuts)
    state = State(model, 1, LENGTH, LENGTH)  # one page: nothing to lay out
    plain = player.play(state, 0)
    state.close()
    if layers.kind == "f32":
        report.close(label + " against the reference", plain, layers.expected(given), 2 * tolerance(LENGTH))

    def same(name, got, begin=0):
        report.equal("%s, %s" % (label, name), got, plain[:, begin : begin + got.shape[1]])

    # Pages of other sizes; other slots grow in between, so that pages lie apart.
    noise = Player(model, layers.inputs(), cuts)
    for page in (64, 128, 192):
        state = State(model, 3, 4096, page)
        ring_pages = pages_for(layers.sinks, page) + pages_for(layers.window + SEQ - 1, page) + 1 if windowed else 4096
        pages = 3 * min(pages_for(4096, page), ring_pages)
        report.expect("%s pages of %d" % (label, page), state.op(mf.PAGES, 0) == pages, "expected %d pages, got %d" % (pages, state.op(mf.PAGES, 0)))
        parts, begin = [], 0
        for end in range(100, LENGTH + 100, 100):
            end = min(end, LENGTH)
            noise.play(state, 0, begin, end)
            parts.append((begin, player.play(state, 2, begin, end)))
            begin = end
        # The pieces differ at multiples of 100: a token's bits do not depend on that either.
        same("pages of %d" % page, np.concatenate([p for _, p in parts], 1))
        state.close()

    # Forks at any length, of which each goes on; the source does, too.
    state = State(model, 4, 4096, 64)
    for at in (1, 64, 130, 500):
        for slot in range(4):
            state.op(mf.TRUNCATE, slot, 0)
        report.expect(label + " empty", state.used() == 0, "expected no page in use, got %d" % state.used())
        same("before a fork at %d" % at, player.play(state, 1, 0, at))
        used = state.used()
        state.op(mf.FORK, 0, 1)
        state.op(mf.FORK, 3, 0)
        report.expect("%s pages after a fork at %d" % (label, at), state.used() == used, "expected %d, got %d" % (used, state.used()))
        state.op(mf.COPY, 2, 1)
        noise.play(state, 3, at, min(at + 90, LENGTH))
        same("fork at %d" % at, player.play(state, 0, at), at)
        same("source of a fork at %d" % at, player.play(state, 1, at), at)
        same("copy at %d" % at, player.play(state, 2, at), at)
    # A shared prefix: fork and truncate into a page that is shared; what was cut off comes again.
    for keep in (700, 640, 0):
        state.op(mf.FORK, 3, 1)
        state.op(mf.TRUNCATE, 3, keep)
        same("prefix of %d" % keep, player.play(state, 3, keep), keep)
    if windowed:
        report.status(label + " truncate below the ring", mf.RANGE, state.op, mf.TRUNCATE, 1, LENGTH - layers.window - 250)
    else:
        state.op(mf.TRUNCATE, 1, 10)
        same("truncate to 10", player.play(state, 1, 10), 10)
    state.close()

    # A server's pool: pages in any order, prefixes of full pages shared.
    for page in (64, 192):
        need = pages_for(LENGTH, page)
        order = [int(p) for p in random.permutation(3 * need)]
        state = State(model, 2, LENGTH + 50, page, pages=len(order))
        first, second = order[:need], order[need : 2 * need]
        state.map(1, first, 0)
        same("pool of %d" % page, player.play(state, 1))
        shared = need // 2
        state.map(0, first[:shared] + second[shared:], shared * page)
        same("prefix in a pool of %d" % page, player.play(state, 0, shared * page), shared * page)
        # Pages one by one, as they are needed.
        state.map(0, [], 0)
        parts = []
        for low, high in zip([0] + cuts, cuts):
            state.map(0, second[: pages_for(high, page)], low)
            parts.append(player.play(state, 0, low, high))
        same("growing in a pool of %d" % page, np.concatenate(parts, 1))
        step = {n: a[:, :1] for n, a in given.items()}
        state.map(0, second[:1], 0)
        longer = {n: np.repeat(a, page + 1, 1) for n, a in step.items()}
        if page < SEQ:
            report.status(label + " position without a page", mf.RANGE, model.run, "run", longer, state, [0])
        state.map(0, first[:1], page - 1)
        report.status(label + " append into a page of two", mf.RANGE, model.run, "run", step, state, [0])
        report.status(label + " page out of range", mf.RANGE, state.map, 0, [len(order)], 0)
        report.status(label + " fork in a pool", mf.INVALID_ARGUMENT, state.op, mf.FORK, 0, 1)
        check_damage(model, state, step)
        state.close()


def check_damage(model, state, step):
    """A state with a damaged head is refused, or harmless."""
    copy = mf.Guarded(state.memory.size, 64, name="damaged state")
    other = State.__new__(State)
    for at in range(0, min(state.op(mf.PAGE_OFFSET, 0), 900)):
        copy.bytes[:] = state.memory.bytes
        copy.bytes[at] ^= int(random.integers(1, 256))
        other.model, other.memory, other.handle = model, copy, mf.c_void_p()
        try:
            model.checked("state_attach", copy.address, copy.size, mf.byref(other.handle))
            model.run("run", step, other, [0])
            other.op(mf.TRUNCATE, 1, 3)
        except mf.ModelError:
            pass
        copy.check()
    copy.free()


for layers in (Layers(), Layers(window=100, sinks=5), Layers(window=70), Layers(kind="bf16"), Layers(kind="f16", window=90)):
    try:
        path = compile_module(layers.module)
    except CompileError as error:
        if not error.not_lowered():
            raise
        print("skipped: %s is not lowered yet" % layers.name)
        continue
    for variant in each_variant(path):
        with Model(path, variant) as model:
            check(model, layers)
report.finish()
