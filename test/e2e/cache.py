# RUN: %python %s
"""The key/value cache: any split of a sequence into runs gives what one run gives; slots, pages, copies, failures."""
import numpy as np

import model_file as mf
from harness import Model, Module, Report, State, compile_module, each_variant, tensor, tolerance
from reference.attention import packed

report = Report("cache")
random = report.random


class Config:
    """Two layers over one cache; the second layer has its own keys and values."""

    def __init__(self, module, heads, kv_heads, dim, dim_v, masked=False):
        self.heads, self.kv_heads, self.dim, self.dim_v, self.masked = heads, kv_heads, dim, dim_v, masked
        self.name = "f%d" % len(module.functions)
        self.label = "H%d/%d D%d/%d%s" % (heads, kv_heads, dim, dim_v, " masked" * masked)
        q, k, v, out = (tensor(("?", "?", n)) for n in (heads * dim, kv_heads * dim, kv_heads * dim_v, heads * dim_v))
        cache = "!attn.cache<2x%dx%dx%dxf32>" % (kv_heads, dim, dim_v)
        dims = ["batch", "seq"]
        arguments = [("query", q, dims), ("key", k, dims), ("value", v, dims), ("key1", k, dims), ("value1", v, dims)]
        mask, mask_type = "", ""
        if masked:
            arguments.append(("key_mask", tensor("??", "i64"), ["batch", "keys"], True))
            mask, mask_type = " key_mask %key_mask", ", " + tensor("??", "i64")
        arguments.append(("cache", cache))
        body = "%l0 = arith.constant 0 : index\n%l1 = arith.constant 1 : index\n"
        for layer, suffix in ((0, ""), (1, "1")):
            body += "attn.cache_append %%key%s, %%value%s to %%cache[%%l%d] : %s, %s, %s\n" % (suffix, suffix, layer, k, v, cache)
            body += "%%y%d = attn.attention %%query cache %%cache[%%l%d]%s {causal, num_heads = %d : i64, num_kv_heads = %d : i64} : (%s, %s, index%s) -> %s\n" % (
                layer, layer, mask, heads, kv_heads, q, cache, mask_type, out)
        module.entry(self.name, arguments, [("out", out, "%y0"), ("out1", out, "%y1")], body,
                     {"seq": (1, 1024), **({"keys": (1, 1024)} if masked else {})})

    def inputs(self, batch, seq):
        def features(width):
            return random.standard_normal((batch, seq, width)).astype(np.float32)

        k, v = self.kv_heads * self.dim, self.kv_heads * self.dim_v
        return {"query": features(self.heads * self.dim), "key": features(k), "value": features(v), "key1": features(k), "value1": features(v)}

    def expected(self, given, dtype=np.float64, mask=None):
        def layer(suffix):
            return packed(given["query"], given["key" + suffix], given["value" + suffix], self.heads, self.kv_heads,
                          causal=True, key_mask=mask, dtype=dtype)

        return {"out": layer(""), "out1": layer("1")}


def piece(given, begin, end, rows=slice(None)):
    return {n: a[rows, begin:end] for n, a in given.items()}


def splits(length):
    """Ways to cut a sequence into runs: one, token by token at the end, at random."""
    yield [length]
    yield [1] * min(length, 5) + [length - 5] * (length > 5)
    yield [max(length - 3, 1)] + [1] * (min(3, length - 1))
    cuts = sorted({int(c) for c in random.integers(1, length, 3)}) if length > 1 else []
    yield [b - a for a, b in zip([0] + cuts, cuts + [length])]


def check_splits(model, config):
    for batch, length in [(1, 1), (2, 7), (1, 63), (3, 65), (2, 130), (1, 600)]:
        label = "%s %s B%d S%d" % (model.variant, config.label, batch, length)
        given = config.inputs(batch, length)
        expected, naive, first = config.expected(given), config.expected(given, np.float32), None
        for number, split in enumerate(splits(length)):
            # Slots in another order than the rows, more slots than rows, different page sizes: nothing shows.
            slots = [int(s) for s in random.permutation(batch + 1)[:batch]]
            state = State(model, batch + 1, length + number, (64, 0, 128, 192)[number])
            parts, begin = {"out": [], "out1": []}, 0
            for size in split:
                for name, value in model.run(config.name, piece(given, begin, begin + size), state, slots).items():
                    parts[name].append(value)
                begin += size
            got = {name: np.concatenate(values, 1) for name, values in parts.items()}
            for name in got:
                report.close("%s split %s %s" % (label, split, name), got[name], expected[name], tolerance(length), naive[name], floor=0.02)
                if first:
                    report.equal("%s split %s %s against one run" % (label, split, name), got[name], first[name])
            first = first or got
            for slot in slots:
                report.expect(label, state.length(slot) == length, "expected length %d, got %d" % (length, state.length(slot)))
            state.close()


def check_state(model, config):
    variant = model.variant
    # Sequences of different lengths in one batch.
    given, state = config.inputs(3, 100), State(model, 3, 128)
    lengths = [10, 64, 97]
    for row, length in enumerate(lengths):
        model.run(config.name, piece(given, 0, length, slice(row, row + 1)), state, [row])
    ragged = {n: np.stack([a[row, length : length + 3] for row, length in enumerate(lengths)]) for n, a in given.items()}
    got, expected = model.run(config.name, ragged, state), config.expected(given)
    for row, length in enumerate(lengths):
        report.close("%s ragged row %d" % (variant, row), got["out"][row], expected["out"][row, length : length + 3], 2e-6)
    # Full: refused before anything is written, for all rows; truncate makes room; the same tokens give the same bits.
    capacity = state.op(mf.CAPACITY, 0)
    report.expect(variant + " capacity", capacity >= 128, "expected at least 128, got %d" % capacity)
    report.status(variant + " cache full", mf.CACHE_FULL, model.run, config.name, config.inputs(3, capacity - 99), state)
    report.expect(variant + " lengths after a refusal", [state.length(s) for s in range(3)] == [13, 67, 100], "lengths changed")
    for slot, length in enumerate(lengths):
        state.op(mf.TRUNCATE, slot, length)
    report.equal(variant + " again after truncate", model.run(config.name, ragged, state)["out"], got["out"])
    for verb, slot, value in [(mf.TRUNCATE, 0, 14), (mf.TRUNCATE, 0, -1), (mf.LENGTH, 3, 0), (mf.COPY, 0, 3), (mf.COPY, 0, -1), (99, 0, 0)]:
        report.status("%s verb %d slot %d value %d" % (variant, verb, slot, value), None, state.op, verb, slot, value)
    # A copy is independent of where it came from.
    state.op(mf.TRUNCATE, 1, 0)
    state.op(mf.COPY, 1, 0)
    state.op(mf.TRUNCATE, 0, 5)
    model.run(config.name, config.inputs(1, 20), state, [0])
    state.op(mf.TRUNCATE, 1, 10)
    report.equal(variant + " copy", model.run(config.name, {n: a[:1] for n, a in ragged.items()}, state, [1])["out"], got["out"][:1])
    # A state moved byte for byte goes on; a damaged one, or one of another size, is refused.
    moved = mf.Guarded(state.memory.size, 64, name="moved state")
    moved.bytes[:] = state.memory.bytes
    other = State.__new__(State)
    other.model, other.memory, other.handle = model, moved, mf.c_void_p()
    attach = lambda size: model.checked("state_attach", moved.address, size, mf.byref(other.handle))
    attach(moved.size)
    step = config.inputs(1, 1)
    report.equal(variant + " moved state", model.run(config.name, step, other, [1])["out"], model.run(config.name, step, state, [1])["out"])
    report.status(variant + " attach of too few bytes", None, attach, moved.size - 64)
    moved.bytes[:64] = 0
    report.status(variant + " attach of zeros", mf.CORRUPT_FILE, attach, moved.size)
    moved.free()
    # Calls that make no sense.
    one = config.inputs(2, 1)
    report.status(variant + " no state", mf.INVALID_ARGUMENT, model.run, config.name, one)
    report.status(variant + " slot twice", None, model.run, config.name, one, state, [1, 1])
    report.status(variant + " slot out of range", None, model.run, config.name, one, state, [0, 3])
    report.status(variant + " slot below zero", None, model.run, config.name, one, state, [0, -1])
    report.status(variant + " more rows than slots", None, model.run, config.name, config.inputs(4, 1), state)
    state.close()


def check_mask(model, config):
    """A mask over the keys, also over those that were there before."""
    given, state = config.inputs(2, 70), State(model, 2, 128)
    mask = random.integers(0, 3, (2, 70))
    mask[:, 0] = 1
    expected = config.expected(given, mask=mask)["out"]
    first = model.run(config.name, dict(piece(given, 0, 66), key_mask=mask[:, :66]), state)["out"]
    second = model.run(config.name, dict(piece(given, 66, 70), key_mask=mask), state)["out"]
    report.close(model.variant + " masked", np.concatenate([first, second], 1), expected, 2e-6)
    report.status(model.variant + " mask of another length", mf.SHAPE, model.run, config.name, dict(piece(given, 66, 70), key_mask=mask), state)
    state.close()


def check_cancel(path, variant, config):
    """Cancelled in the middle: lengths are as before, and the run can be repeated."""
    given, stop = config.inputs(1, 20), [False]
    with Model(path, variant, poll=lambda done, total: int(stop[0] and done >= 1)) as model:
        state = State(model, 1, 64)
        first = model.run(config.name, piece(given, 0, 10), state)["out"]
        stop[0] = True
        report.status(variant + " cancelled", mf.CANCELLED, model.run, config.name, piece(given, 10, 20), state)
        report.expect(variant + " length after cancel", state.length() == 10, "expected 10, got %d" % state.length())
        stop[0] = False
        second = model.run(config.name, piece(given, 10, 20), state)["out"]
        report.close(variant + " after cancel", np.concatenate([first, second], 1), config.expected(given)["out"], 2e-6)
        state.close()


# heads, kv heads, head_dim, head_dim_v: a file has one type of cache.
for number, sizes in enumerate([(2, 2, 8, 8), (13, 1, 13, 5), (4, 2, 64, 64), (2, 1, 8, 24)]):
    module = Module()
    config, masked = Config(module, *sizes), Config(module, *sizes, masked=True)
    path = compile_module(module)
    for variant in each_variant(path):
        with Model(path, variant) as model:
            check_splits(model, config)
            check_mask(model, masked)
            if number == 0:
                check_state(model, config)
        if number == 0:
            check_cancel(path, variant, config)
report.finish()
