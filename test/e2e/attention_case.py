"""One attn.attention entry and its oracle; shared by the attention tests."""
import os
import re

import numpy as np

from harness import CompileError, Model, Module, compile_module, number, relative_error, tensor, tolerance
from reference import attention as oracle
from reference.safetensors import from_bf16, round_to, to_bf16
from score_regions import ARGUMENTS, REGIONS

FLOATS = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16, "f64": np.float64}  # bf16 travels as its bits
IDS = {"i64": np.int64, "i32": np.int32, "i8": np.int8, "i1": np.bool_}
ATTRIBUTES = {"offset": "causal_offset"}  # the reference's names where they differ


def key_masks(random, batch, keys):
    """[batch, keys], 0 hides: rows with holes, and rows of one run of visible keys (padding on either side)."""
    first, last = np.sort(random.integers(0, keys + 1, (2, batch, 1)), axis=0)
    inside = (first <= np.arange(keys)) & (np.arange(keys) < last)
    return np.where(random.random((batch, 1)) < 0.5, inside, random.integers(0, 4, (batch, keys)))


class Case:
    """An entry of `module` with packed rank-3 operands, or rank 4.

    cross: keys have their own length. lse: also a result. scores: raw, capped, masked or softmax, a result too.
    types: storage of query, key, value and out, or one for all. id_type: of lengths, ids and offsets.
    operands: any of key_mask, kv_len, bias ("f32", "bf16", "f16" or "i1", of shape bias_shape), sink_logits, alibi,
    relative (reach steps each way), prefix, documents.
    regions: names of score_regions.py; several masks are joined by and, several others run one after the other.
    ragged: "rows", or "keys" where keys have offsets of their own; batch is then the number of sequences.
    cache: element type of the cache that keys and values are appended to.
    options: scale, causal, offset, bottom_right, window_left, window_right, sinks, soft_cap, masked_rows as in the
    reference.
    """

    def __init__(self, module, heads, head_dim, kv_heads=None, head_dim_v=None, rank=3, cross=False, lse=False, scores=None,
                 operands=(), bias_shape=("batch", "heads", "seq", "keys"), bias="f32", mask_type="i64", id_type="i32",
                 types="f32", reach=6, regions=(), ragged=None, cache=None, **options):
        self.heads, self.kv_heads = heads, kv_heads or heads
        self.head_dim, self.head_dim_v = head_dim, head_dim_v or head_dim
        self.rank, self.lse, self.scores, self.options, self.operands = rank, lse, scores, options, tuple(operands)
        self.cross = cross or ragged == "keys"
        self.bias, self.bias_shape, self.mask_type, self.id_type, self.reach = bias, bias_shape, mask_type, id_type, reach
        self.regions, self.ragged, self.cache = [REGIONS[name] for name in regions], ragged, cache
        self.types = (types,) * 4 if isinstance(types, str) else tuple(types)
        self.name = "f%d" % len(module.functions)
        self.kinds = {}  # element type of every input and result
        self.axis = 1 if rank == 3 else 2  # of the sequence
        module.entry(self.name, *self.entry())
        words = ["%s=%s" % (n, v) if v is not True else n for n, v in options.items() if v is not False] + list(operands) + list(regions)
        words += ["lse"] * lse + ["scores=%s" % scores] * bool(scores) + ["ragged " + str(ragged)] * bool(ragged)
        words += ["cache " + str(cache)] * bool(cache) + ["bias " + bias] * (bias != "f32")
        words += ["/".join(dict.fromkeys(self.types))] * (set(self.types) != {"f32"})
        self.label = "H%d%s D%d%s rank %d %s" % (heads, "/%d" % self.kv_heads if self.kv_heads != heads else "", head_dim,
                                               "/%d" % self.head_dim_v if self.head_dim_v != head_dim else "", rank, " ".join(words))

    # ---- The module ---------------------------------------------------------------------------------------

    def features(self, seq, heads, dim, kind):
        batch = "?" if not self.ragged else 1
        return tensor((batch, "?", heads * dim) if self.rank == 3 else (batch, heads, "?", dim), kind)

    def entry(self):
        """What Module.entry wants behind the name."""
        keys = "keys" if self.cross or self.cache else "seq"
        batch = [] if self.ragged else ["batch"]
        arguments, bounds = [], {"keys": (0, 1 << 20)} if self.cross else {}

        def argument(name, kind, dims, element, optional=False):
            self.kinds[name] = element
            arguments.append((name, kind, dims, optional))
            return kind

        shapes = [("query", "seq", self.heads, self.head_dim), ("key", "seq" if self.cache else keys, self.kv_heads, self.head_dim),
                  ("value", "seq" if self.cache else keys, self.kv_heads, self.head_dim_v)]
        q, k, v = (argument(name, self.features(seq, heads, dim, kind), batch + [seq], kind)
                   for (name, seq, heads, dim), kind in zip(shapes, self.types))
        body, types, before = "attn.attention %query, %key, %value", [q, k, v], []
        if self.cache:
            cache = "!attn.cache<1x%dx%dx%dx%s>" % (self.kv_heads, self.head_dim, self.head_dim_v, self.cache)
            before = ["%layer = arith.constant 0 : index",
                      "attn.cache_append %%key, %%value to %%cache[%%layer] : %s, %s, %s" % (k, v, cache)]
            body, types = "attn.attention %query cache %cache[%layer]", [q, cache, "index"]
        for name, shape, dims, element in self.operand_types(keys, batch):
            types.append(argument(name, tensor(shape, element), dims, element, name == "key_mask"))
            body += " %s %%%s" % (name, name)
        if self.cache:
            arguments.append(("cache", cache))
        notes = []
        if self.rank == 3:
            notes.append("num_heads = %d : i64" % self.heads)
            if self.kv_heads != self.heads:
                notes.append("num_kv_heads = %d : i64" % self.kv_heads)
        notes += [self.note(name, value) for name, value in self.options.items() if value is not False]
        notes += ["scores = #attn<score_point %s>" % self.scores] * bool(self.scores)
        results = [("out", self.features("seq", self.heads, self.head_dim_v, self.types[3]))]
        if self.lse:
            results.append(("lse", tensor((1 if self.ragged else "?", self.heads, "?"))))
        if self.scores:
            results.append(("scores", tensor(("?", self.heads, "?", "?"))))
        self.kinds.update({name: self.types[3] if name == "out" else "f32" for name, _ in results})
        regions = self.region_text(argument, bounds)
        many = len(results) > 1
        out = ", ".join(kind for _, kind in results)
        before.append("%s = %s {%s}%s : (%s) -> %s" % ("%%y:%d" % len(results) if many else "%y", body, ", ".join(notes), regions,
                                                     ", ".join(types), "(%s)" % out if many else out))
        results = [(name, kind, "%%y#%d" % n if many else "%y") for n, (name, kind) in enumerate(results)]
        return arguments, results, "\n".join(before), bounds

    def operand_types(self, keys, batch):
        """(name, shape, names of its `?`s, element type) of every operand, in the order of the syntax."""
        ids = self.id_type
        # Tokens have documents whether or not they are keys of a cache.
        every = {
            "bias": (["?" if d in ("batch", "seq", "keys") else self.heads if d == "heads" else d for d in self.bias_shape],
                     [keys if d == "keys" else d for d in self.bias_shape if d in ("batch", "seq", "keys")], self.bias),
            "key_mask": (("?", "?"), ["batch", keys], self.mask_type), "kv_len": (("?",), ["batch"], ids),
            "sink_logits": ((self.heads,), [], "f32"), "alibi": ((self.heads,), [], "f32"),
            "relative": ((self.heads, 2 * self.reach + 1), [], "f32"), "prefix": (("?",), batch or ["sequences"], ids),
            "documents": (("?", "?"), ["batch", "tokens" if self.cache else keys], ids),
            "ragged": (("?",), ["ends"], ids), "ragged_keys": (("?",), ["ends"], ids)}
        used = self.operands + ("ragged",) * bool(self.ragged) + ("ragged_keys",) * (self.ragged == "keys")
        return [(name, *every[name]) for name in every if name in used]

    def note(self, name, value):
        label = ATTRIBUTES.get(name, name)
        if name in ("causal", "bottom_right"):
            return label
        if name == "masked_rows":
            return "masked_rows = #attn<masked_rows %s>" % value
        return "%s = %s" % (label, number(value) if name in ("scale", "soft_cap") else "%d : i64" % value)

    def region_text(self, argument, bounds):
        """The regions, with what they capture as arguments of the entry, each with sizes of its own."""
        texts, captured = [], {}
        for region in self.regions:
            for name, (shape, element, _) in region.captures.items():
                if name in captured:
                    continue
                sizes = [self.heads if d == "heads" else d if isinstance(d, int) else "?" for d in shape]
                dims = ["%s_%d" % (name, n) for n, size in enumerate(sizes) if size == "?"]
                bounds.update({d: (0, 1 << 20) for d in dims})
                captured[name] = argument(name, tensor(sizes, element), dims, element)
        for kind, names in ARGUMENTS.items():
            regions = [region for region in self.regions if region.kind == kind]
            if not regions:
                continue
            lines, last = [], None
            for n, region in enumerate(regions):
                more, value = region.text(captured, "_%d" % n)
                if last and kind == "mask":
                    more, value = more + ["%%both_%d = arith.andi %s, %s : i1" % (n, last, value)], "%%both_%d" % n
                elif last:  # what the one before yields is the next one's first argument
                    first = "%" + names[0]
                    more = [re.sub(first + r"\b", last, line) for line in more]
                    value = last if value == first else value
                lines, last = lines + more, value
            lines.append("attn.yield %s : %s" % (last, "i1" if kind == "mask" else "f32"))
            texts.append(" %s(%s) {\n    %s\n  }" % (kind, ", ".join("%" + n for n in names), "\n    ".join(lines)))
        return "".join(texts)

    # ---- Values -------------------------------------------------------------------------------------------

    def inputs(self, random, batch, queries, keys):
        """Random operands; masks have holes, and where there are several rows one of them sees nothing."""
        given = self.tokens(random, batch, queries, keys)
        if "kv_len" in self.operands:
            given["kv_len"] = random.integers(0, keys + 1, batch)
        if "bias" in self.operands:
            sizes = {"batch": batch, "seq": queries, "keys": keys, "heads": self.heads}
            shape = [sizes.get(d, d) for d in self.bias_shape]
            given["bias"] = random.integers(0, 3, shape) > 0 if self.bias == "i1" else random.standard_normal(shape)
        offset = self.options.get("offset", 0) + (keys - queries) * self.options.get("bottom_right", False)
        return self.typed(dict(given, **self.position_inputs(random, batch, keys, max(keys, queries + max(offset, 0)))))

    def ragged_inputs(self, random, lengths, key_lengths=None):
        """Operands of sequences that lie end to end."""
        key_lengths = lengths if key_lengths is None else key_lengths
        given = self.tokens(random, 1, sum(lengths), sum(key_lengths))
        given["ragged"] = np.cumsum([0] + list(lengths))
        if self.ragged == "keys":
            given["ragged_keys"] = np.cumsum([0] + list(key_lengths))
        most = max(max(lengths) + max(self.options.get("offset", 0), 0), max(key_lengths))
        return self.typed(dict(given, **self.position_inputs(random, len(lengths), max(key_lengths), most)))

    def tokens(self, random, batch, queries, keys):
        """query, key and value."""
        def features(seq, heads, dim):
            return random.standard_normal((batch, seq, heads * dim) if self.rank == 3 else (batch, heads, seq, dim))

        return {"query": features(queries, self.heads, self.head_dim), "key": features(keys, self.kv_heads, self.head_dim),
                "value": features(keys, self.kv_heads, self.head_dim_v)}

    def position_inputs(self, random, batch, keys, positions):
        """What is not per query: masks of keys, lengths, biases by distance, captured tensors. positions: above every i."""
        given = {}
        if "key_mask" in self.operands:
            given["key_mask"] = key_masks(random, batch, keys)
            given["key_mask"][-1] *= batch == 1
        if "sink_logits" in self.operands:
            given["sink_logits"] = random.standard_normal(self.heads)
        if "alibi" in self.operands:
            given["alibi"] = 2.0 ** -random.integers(1, 9, self.heads)
        if "relative" in self.operands:
            given["relative"] = random.standard_normal((self.heads, 2 * self.reach + 1))
        if "prefix" in self.operands:
            given["prefix"] = random.integers(0, keys + 2, batch)
        if "documents" in self.operands:
            given["documents"] = np.cumsum(random.random((batch, keys)) < 1 / 30, -1) - 3
        sizes = {"heads": self.heads, "batch": batch, "keys": max(keys, 1), "positions": max(positions, 1), "blocks": max(positions, 1) // 64 + 1}
        for region in self.regions:
            for name, (shape, _, make) in region.captures.items():
                given[name] = make(random, [sizes.get(d, d) for d in shape])
        return given

    def typed(self, given):
        """Values as they are stored; 16-bit floats as the float32 of the same value."""
        def stored(array, kind):
            if kind == "f64" or kind not in FLOATS:
                return np.asarray(array, {**FLOATS, **IDS}[kind])
            return round_to(array, kind)

        return {name: stored(array, self.kinds[name]) for name, array in given.items()}

    # ---- Running ------------------------------------------------------------------------------------------

    def run(self, model, given, state=None, slots=None, strided=False, **more):
        """Model.run with floats in their types, and back. strided: query, key and value are views of larger arrays."""
        def encoded(name, array):
            kind = self.kinds[name]
            if array is None:
                return None
            array = to_bf16(array) if kind == "bf16" else np.asarray(array, np.float16) if kind == "f16" else array
            return self.spread(array) if strided and name in ("query", "key", "value") else array

        got = model.run(self.name, {n: encoded(n, a) for n, a in given.items()}, state, slots, **more)
        return {n: from_bf16(a) if self.kinds[n] == "bf16" else a.astype(np.float32) if self.kinds[n] == "f16" else a for n, a in got.items()}

    def spread(self, array):
        """The same values with other strides: columns of a wider array, or heads beside each other in every token."""
        if self.rank == 3:
            wide = np.zeros((*array.shape[:2], array.shape[2] + 7), array.dtype)
            view = wide[:, :, 3:-4]
        else:
            view = np.zeros(array.swapaxes(1, 2).shape, array.dtype).swapaxes(1, 2)
        view[...] = array
        return view

    def oracle_options(self, given):
        """Keyword arguments of the oracle, but for query, key and value."""
        extra = {n: given.get(n) for n in self.operands}
        for kind in ARGUMENTS:
            regions = [region for region in self.regions if region.kind == kind]
            if regions:
                extra[kind + "_mod"] = chain(regions, given)
        return dict(self.options, **extra)

    def expected(self, given, dtype=np.float64, results=None, **more):
        """{"out": ..., "lse": ..., the scores asked for, "keep": which pairs are visible} by the oracle."""
        names = results or (["out", "lse"] + [self.scores] * bool(self.scores) + ["keep"] * (not self.ragged))
        options = dict(self.oracle_options(given), dtype=dtype, results=names, **more)
        q, k, v = given["query"], given["key"], given["value"]
        with np.errstate(invalid="ignore", over="ignore"):
            if self.ragged:
                got = oracle.ragged(q, k, v, given["ragged"], self.heads, self.kv_heads, given.get("ragged_keys"), **options)
            elif self.rank == 3:
                got = oracle.packed(q, k, v, self.heads, self.kv_heads, **options)
            else:
                got = oracle.attention(q, k, v, **options)
        return {"scores" if name == self.scores else name: value for name, value in zip(names, got)}

    def check(self, report, model, given, label=""):
        """Runs and compares with the oracle; returns the results."""
        keys = given["key"].shape[self.axis]
        label = "%s %s B%d Q%d K%d%s" % (model.variant, self.label, len(given["query"]), given["query"].shape[self.axis], keys, label)
        got = self.run(model, given)
        self.compare(report, label, got, self.expected(given), self.expected(given, np.float32), keys)
        return got

    def check_poison(self, report, model, given, clean, random):
        """NaN and Inf in a few keys and values leave every row that does not see them as it was, to the bit."""
        keep = self.expected(given, results=("out", "keep"))["keep"]
        keys = keep.shape[-1]
        chosen = np.zeros(keys, bool)
        chosen[random.permutation(keys)[: max(1, keys // 8)]] = True
        chosen |= (~keep.any((0, 1, 2))) & (random.random(keys) < 0.5)
        poisoned = {n: a.copy() for n, a in given.items()}
        for name in ("key", "value"):
            rows = poisoned[name].swapaxes(self.axis, -1)
            rows[..., chosen] = np.resize(np.array([np.nan, np.inf, -np.inf], rows.dtype), rows[..., chosen].shape)
        untouched = ~keep[..., chosen].any(-1)  # [batch, heads, queries]
        if "masked_rows" in self.options:  # a row with nothing visible may be made of all values
            untouched &= keep.any(-1)
        got = self.run(model, poisoned)
        label = "%s %s K%d NaN in %d keys" % (model.variant, self.label, keys, chosen.sum())
        report.equal(label + " out", self.by_head(got["out"])[untouched], self.by_head(clean["out"])[untouched])
        if self.lse:
            report.equal(label + " lse", got["lse"][untouched], clean["lse"][untouched])

    def by_head(self, out):
        """[batch, heads, queries, head_dim_v] of either layout."""
        return out if self.rank == 4 else out.reshape(*out.shape[:2], self.heads, -1).transpose(0, 2, 1, 3)

    def check_alone(self, report, model, given, together):
        """Every batch row run alone gives the bits that it has in the batch."""
        if any(region.names_batch and not region.captures for region in self.regions):
            return
        for row in range(len(given["query"])):
            single = {n: a[row : row + 1] if self.per_row(n) else a for n, a in given.items()}
            for name, value in self.run(model, single).items():
                report.equal("%s %s row %d alone %s" % (model.variant, self.label, row, name), value, together[name][row : row + 1])

    def per_row(self, name):
        """Whether an input's first dimension is the batch."""
        if name == "bias":
            return len(self.bias_shape) == 4 and self.bias_shape[0] == "batch"
        shapes = {n: shape for region in self.regions for n, (shape, _, _) in region.captures.items()}
        return shapes[name][0] == "batch" if name in shapes else name not in ("sink_logits", "alibi", "relative")

    def check_strided(self, report, model, given, compact):
        """Views of larger arrays give the same bits."""
        for name, value in self.run(model, given, strided=True).items():
            report.equal("%s %s strided %s" % (model.variant, self.label, name), value, compact[name])

    def check_schedules(self, report, path, model, given, serial):
        """Tasks in any order, on any number of workers, give the same bits."""
        for schedule, workers in (("shuffle", 3), ("threads", 2)):
            with Model(path, model.variant, workers=workers, schedule=schedule) as other:
                for name, value in self.run(other, given).items():
                    report.equal("%s %s %s %d %s" % (model.variant, self.label, schedule, workers, name), value, serial[name])

    def compare(self, report, label, got, expected, naive, keys):
        """f32: the limits of semantics.md. A 16-bit result may differ by its own rounding besides: that is less than
        what semantics.md allows, twice the error of an implementation that rounds every step."""
        kind, finite = self.types[3], expected["lse"][np.isfinite(expected["lse"])]
        # The exponent's argument carries roundings of its own size: beyond 16, more than the result's.
        loud = max(1.0, abs(finite).max() / 16) if finite.size else 1.0
        limit, exact = tolerance(keys) * loud, expected["out"]
        undecided = np.isnan(exact)
        out, exact, rough = (np.where(undecided, 0, x) for x in (got["out"], exact, naive["out"]))
        if kind in ("bf16", "f16"):
            limit, rough = limit + 1.05 * relative_error(round_to(exact, kind), exact, 0.02), None
        report.close(label + " out", out, exact, limit, rough if loud == 1.0 else None, floor=0.02)
        if self.lse:  # a logarithm: its error is absolute
            report.close(label + " lse", got["lse"], expected["lse"], tolerance(keys), floor=1.0)
        if self.scores:
            report.close(label + " scores", got["scores"], expected["scores"], tolerance(self.head_dim) * loud, floor=0.1)


def chain(regions, given):
    """Regions of one kind as one function for the oracle."""
    if regions[0].kind == "mask":
        return lambda b, h, i, j: np.logical_and.reduce(np.broadcast_arrays(*(r.function(given, b, h, i, j) for r in regions)))

    def run(x, b, h, i, j):
        for region in regions:
            x = region.function(given, x, b, h, i, j)
        return x

    return run


# Large tables run the best variant of this CPU; all of them when ATTN_TEST_FULL is set. attention.py always runs all.
FULL = bool(int(os.environ.get("ATTN_TEST_FULL", "0") or "0"))
# Only every n-th row of a table: for emulators.
SAMPLE = int(os.environ.get("ATTN_TEST_SAMPLE", "1"))
TARGET = [] if FULL else ["--target=native"]


def some(shapes, number):
    """The shapes that case `number` of a table runs on: the reference is slow on large ones."""
    return [shape for shape in shapes if FULL or number % 4 == 0 or shape[1] * shape[2] <= 20000]


def compiled(report, configs, *flags):
    """[(file, its Cases)] for a table of Case's arguments: one module, or several where part of it is refused.

    What is legal but not lowered yet is listed and passes; any other refusal fails.
    """
    return compiled_in_parts(report, list(configs)[::SAMPLE], flags or TARGET)


def compiled_in_parts(report, configs, flags):
    module = Module()
    cases = [Case(module, **config) for config in configs]
    try:
        return [(compile_module(module, *flags), cases)]
    except CompileError as error:
        if len(configs) > 1:
            half = len(configs) // 2
            return compiled_in_parts(report, configs[:half], flags) + compiled_in_parts(report, configs[half:], flags)
        report.expect(cases[0].label, error.not_lowered(), "expected a result or 'not yet lowered', got: %s" % error)
        if error.not_lowered():
            print("not yet lowered: " + cases[0].label)
        return []
