"""Regions of attn.attention by name: their MLIR text and the same function in numpy.

To add one: a row here; attention_regions.py and attention_random.py run it.
"""
import re

import numpy as np

ARGUMENTS = {"score": "sbhij", "mask": "bhij", "prob": "pbhij"}


class Region:
    """The last value of `body` is what the region yields. Captured tensors are {name: (shape, element type, make)}:
    in `body` {name} is the type of %name; a shape consists of numbers and of "heads", "batch", "keys", "positions"
    (every i and j is below), "blocks" (of 64 positions); make(random, shape) gives the values.
    function(c, [x,] b, h, i, j): the captured arrays in c, x in the type to compute in.
    """

    def __init__(self, kind, body, function, **captures):
        self.kind, self.body, self.function, self.captures = kind, body, function, captures
        # Whether a batch row's result changes when it is moved to another row, and whether it reads by i.
        self.names_batch = "%b " in body or "%b," in body
        self.reads_queries = any(re.search(r"%i\b", line) for line in body.splitlines() if "attn.load" in line) or "blocks" in repr(captures)

    def text(self, types, suffix=""):
        """(lines, yielded value); names of values end with `suffix` so that regions can be joined."""
        body = self.body.format(**types)
        keep = set(ARGUMENTS[self.kind]) | set(self.captures)
        body = re.sub(r"%(\w+)", lambda m: m[0] if m[1] in keep else m[0] + suffix, body)
        lines = [line.strip() for line in body.strip().splitlines()]
        return lines, lines[-1].split(" = ")[0] if lines else "%" + ARGUMENTS[self.kind][0]


def at(table, *indices):
    """table[indices]; indices of pairs that are hidden may lie outside."""
    if not table.size:
        return np.zeros(np.broadcast_shapes(*(np.shape(n) for n in indices)), table.dtype)
    return table[tuple(np.clip(index, 0, size - 1) for index, size in zip(indices, table.shape))]


def floats(x, like):
    """x as arith.sitofp gives it, in the type that `like` is computed in."""
    return np.asarray(x).astype(like.dtype)


def normal(random, shape):
    return random.standard_normal(shape).astype(np.float32)


def slopes(random, shape):
    return (2.0 ** -random.integers(1, 9, shape)).astype(np.float32)


def integers(low, high, kind=np.int32):
    return lambda random, shape: random.integers(low, high, shape).astype(kind)


def documents(random, shape):
    """Ids that do not fall: documents of 1 to 90 tokens."""
    starts = random.random(shape) < 1 / 40
    return np.cumsum(starts, -1).astype(np.int32)


def flags(random, shape):
    return random.random(shape) < 0.6


def threshold(c, p, b, h, i, j):
    """In float64 a probability that rounding could take over the edge is NaN: undecided."""
    kept = np.where(p < 2.0**-7, 0, p)
    return np.where(np.abs(p * 2.0**7 - 1) < 1e-3, np.nan, kept) if p.dtype == np.float64 else kept


DISTANCE = """
    %d = arith.subi %j, %i : i32
    %f = arith.sitofp %d : i32 to f32
"""

REGIONS = {
    # ---- Scores -------------------------------------------------------------------------------------------
    "noop": Region("score", "", lambda c, s, b, h, i, j: s),
    "alibi by hand": Region("score", """
    %slope = attn.load %slopes[%h] : {slopes}""" + DISTANCE + """
    %t = arith.mulf %slope, %f : f32
    %r = arith.addf %s, %t : f32""",
        lambda c, s, b, h, i, j: s + at(c["slopes"], h).astype(s.dtype) * floats(j - i, s), slopes=(("heads",), "f32", slopes)),
    "soft cap by hand": Region("score", """
    %c = arith.constant 1.5 : f32
    %q = arith.divf %s, %c : f32
    %t = math.tanh %q : f32
    %r = arith.mulf %t, %c : f32""", lambda c, s, b, h, i, j: s.dtype.type(1.5) * np.tanh(s / s.dtype.type(1.5))),
    "distance": Region("score", """
    %c = arith.constant -0.125 : f32
    %d = arith.subi %i, %j : i32
    %a = math.absi %d : i32
    %f = arith.sitofp %a : i32 to f32
    %t = arith.mulf %f, %c : f32
    %r = arith.addf %t, %s : f32""", lambda c, s, b, h, i, j: s - floats(abs(i - j), s) / 8),
    "quadratic": Region("score", """
    %c = arith.constant 0.25 : f32
    %t = arith.mulf %s, %s : f32
    %r = math.fma %t, %c, %s : f32""", lambda c, s, b, h, i, j: s + s * s / 4),
    "decay": Region("score", DISTANCE + """
    %n = math.absf %f : f32
    %m = arith.negf %n : f32
    %e = math.exp %m : f32
    %r = arith.subf %s, %e : f32""", lambda c, s, b, h, i, j: s - np.exp(-abs(floats(j - i, s)))),
    "relative by hand": Region("score", """
    %low = arith.constant -5 : i32
    %high = arith.constant 5 : i32
    %d = arith.subi %j, %i : i32
    %least = arith.maxsi %d, %low : i32
    %most = arith.minsi %least, %high : i32
    %n = arith.addi %most, %high : i32
    %t = attn.load %table[%h, %n] : {table}
    %r = arith.addf %s, %t : f32""", lambda c, s, b, h, i, j: s + at(c["table"], h, np.clip(j - i, -5, 5) + 5).astype(s.dtype),
        table=(("heads", 11), "f32", normal)),
    "dense": Region("score", """
    %t = attn.load %dense[%h, %i, %j] : {dense}
    %r = arith.addf %s, %t : f32""", lambda c, s, b, h, i, j: s + at(c["dense"], h, i, j).astype(s.dtype),
        dense=(("heads", "positions", "keys"), "f32", normal)),
    "per key": Region("score", """
    %t = attn.load %by_key[%j] : {by_key}
    %r = arith.addf %s, %t : f32""", lambda c, s, b, h, i, j: s + at(c["by_key"], j).astype(s.dtype), by_key=(("keys",), "f32", normal)),
    "per query": Region("score", """
    %t = attn.load %by_query[%b, %i] : {by_query}
    %r = arith.mulf %s, %t : f32""", lambda c, s, b, h, i, j: s * at(c["by_query"], b, i).astype(s.dtype),
        by_query=(("batch", "positions"), "f32", normal)),
    "backwards": Region("score", """
    %c = arith.constant 6 : i32
    %m = arith.minsi %j, %c : i32
    %n = arith.subi %c, %m : i32
    %t = attn.load %reversed[%n] : {reversed}
    %r = arith.addf %s, %t : f32""", lambda c, s, b, h, i, j: s + at(c["reversed"], 6 - np.minimum(j, 6)).astype(s.dtype),
        reversed=((7,), "f32", normal)),
    "gather": Region("score", """
    %three = arith.constant 3 : i32
    %seven = arith.constant 7 : i32
    %m = arith.muli %j, %three : i32
    %n = arith.remsi %m, %seven : i32
    %t = attn.load %short[%n] : {short}
    %r = arith.addf %s, %t : f32""", lambda c, s, b, h, i, j: s + at(c["short"], j * 3 % 7).astype(s.dtype), short=((7,), "f32", normal)),
    "bf16 per key": Region("score", """
    %t = attn.load %half[%b, %j] : {half}
    %f = arith.extf %t : bf16 to f32
    %r = arith.addf %s, %f : f32""", lambda c, s, b, h, i, j: s + at(c["half"], b, j).astype(s.dtype), half=(("batch", "keys"), "bf16", normal)),
    "i8 per key": Region("score", """
    %c = arith.constant 0.0625 : f32
    %t = attn.load %byte[%j] : {byte}
    %f = arith.sitofp %t : i8 to f32
    %m = arith.mulf %f, %c : f32
    %r = arith.addf %s, %m : f32""", lambda c, s, b, h, i, j: s + at(c["byte"], j).astype(s.dtype) / 16, byte=(("keys",), "i8", integers(-40, 40, np.int8))),
    "diagonal": Region("score", """
    %c = arith.constant 2.5 : f32
    %same = arith.cmpi eq, %i, %j : i32
    %t = arith.addf %s, %c : f32
    %r = arith.select %same, %t, %s : f32""", lambda c, s, b, h, i, j: np.where(i == j, s + s.dtype.type(2.5), s)),
    "head scale": Region("score", """
    %one = arith.constant 1 : i32
    %n = arith.addi %h, %one : i32
    %f = arith.sitofp %n : i32 to f32
    %r = arith.divf %s, %f : f32""", lambda c, s, b, h, i, j: s / floats(h + 1, s)),
    # ---- Masks --------------------------------------------------------------------------------------------
    "causal by hand": Region("mask", "%r = arith.cmpi sle, %j, %i : i32", lambda c, b, h, i, j: j <= i),
    "window by hand": Region("mask", """
    %left = arith.constant 70 : i32
    %right = arith.constant 2 : i32
    %l = arith.subi %i, %left : i32
    %e = arith.addi %i, %right : i32
    %a = arith.cmpi sge, %j, %l : i32
    %z = arith.cmpi sle, %j, %e : i32
    %r = arith.andi %a, %z : i1""", lambda c, b, h, i, j: (j >= i - 70) & (j <= i + 2)),
    "prefix by hand": Region("mask", """
    %n = attn.load %lengths[%b] : {lengths}
    %p = arith.cmpi slt, %j, %n : i32
    %c = arith.cmpi sle, %j, %i : i32
    %r = arith.ori %p, %c : i1""", lambda c, b, h, i, j: (j < at(c["lengths"], b)) | (j <= i), lengths=(("batch",), "i32", integers(0, 90))),
    "documents by hand": Region("mask", """
    %q = attn.load %ids[%b, %i] : {ids}
    %k = attn.load %ids[%b, %j] : {ids}
    %r = arith.cmpi eq, %q, %k : i32""", lambda c, b, h, i, j: at(c["ids"], b, i) == at(c["ids"], b, j), ids=(("batch", "positions"), "i32", documents)),
    "causal in i64 documents": Region("mask", """
    %q = attn.load %long[%b, %i] : {long}
    %k = attn.load %long[%b, %j] : {long}
    %e = arith.cmpi eq, %q, %k : i64
    %c = arith.cmpi sle, %j, %i : i32
    %r = arith.andi %e, %c : i1""", lambda c, b, h, i, j: (at(c["long"], b, i) == at(c["long"], b, j)) & (j <= i),
        long=(("batch", "positions"), "i64", lambda random, shape: documents(random, shape).astype(np.int64) << 40)),
    "dilated": Region("mask", """
    %c = arith.constant 3 : i32
    %q = arith.remsi %i, %c : i32
    %k = arith.remsi %j, %c : i32
    %r = arith.cmpi eq, %q, %k : i32""", lambda c, b, h, i, j: np.fmod(i, 3) == np.fmod(j, 3)),
    "blocks": Region("mask", """
    %c = arith.constant 64 : i32
    %q = arith.divsi %i, %c : i32
    %k = arith.divsi %j, %c : i32
    %r = arith.cmpi eq, %q, %k : i32""", lambda c, b, h, i, j: np.trunc(i / 64) == np.trunc(j / 64)),
    "block table": Region("mask", """
    %c = arith.constant 64 : i32
    %q = arith.divsi %i, %c : i32
    %k = arith.divsi %j, %c : i32
    %r = attn.load %live[%q, %k] : {live}""", lambda c, b, h, i, j: at(c["live"], i // 64, j // 64), live=(("blocks", "blocks"), "i1", flags)),
    "by head": Region("mask", """
    %c = arith.constant 3 : i32
    %w = arith.muli %h, %c : i32
    %e = arith.addi %i, %w : i32
    %r = arith.cmpi sle, %j, %e : i32""", lambda c, b, h, i, j: j <= i + 3 * h),
    "alternate": Region("mask", """
    %c = arith.constant 1 : i32
    %x = arith.xori %i, %j : i32
    %y = arith.addi %x, %h : i32
    %z = arith.andi %y, %c : i32
    %r = arith.trunci %z : i32 to i1""", lambda c, b, h, i, j: ((i ^ j) + h) & 1 == 1),
    "key flags": Region("mask", "%r = attn.load %flags[%b, %j] : {flags}", lambda c, b, h, i, j: at(c["flags"], b, j), flags=(("batch", "keys"), "i1", flags)),
    "gathered flags": Region("mask", """
    %three = arith.constant 3 : i32
    %seven = arith.constant 7 : i32
    %m = arith.muli %j, %three : i32
    %n = arith.remsi %m, %seven : i32
    %t = attn.load %some[%n] : {some}
    %zero = arith.constant 0 : i32
    %r = arith.cmpi sgt, %t, %zero : i32""", lambda c, b, h, i, j: at(c["some"], j * 3 % 7) > 0, some=((7,), "i32", integers(-1, 3))),
    "not near": Region("mask", """
    %true = arith.constant true
    %c = arith.constant 4 : i32
    %d = arith.subi %i, %j : i32
    %a = math.absi %d : i32
    %n = arith.cmpi slt, %a, %c : i32
    %r = arith.xori %n, %true : i1""", lambda c, b, h, i, j: abs(i - j) >= 4),
    "never": Region("mask", "%r = arith.constant false", lambda c, b, h, i, j: np.zeros(np.broadcast_shapes(i.shape, j.shape), bool)),
    "always": Region("mask", "%r = arith.constant true", lambda c, b, h, i, j: np.ones(np.broadcast_shapes(i.shape, j.shape), bool)),
    # ---- Probabilities ------------------------------------------------------------------------------------
    "head factor": Region("prob", """
    %f = attn.load %factors[%h] : {factors}
    %r = arith.mulf %p, %f : f32""", lambda c, p, b, h, i, j: p * at(c["factors"], h).astype(p.dtype), factors=(("heads",), "f32", normal)),
    "threshold": Region("prob", """
    %c = arith.constant 0.0078125 : f32
    %zero = arith.constant 0.0 : f32
    %small = arith.cmpf olt, %p, %c : f32
    %r = arith.select %small, %zero, %p : f32""", threshold),
    "dropout": Region("prob", """
    %seven = arith.constant 7 : i32
    %five = arith.constant 5 : i32
    %two = arith.constant 2 : i32
    %up = arith.constant 1.25 : f32
    %zero = arith.constant 0.0 : f32
    %x = arith.muli %i, %seven : i32
    %y = arith.muli %j, %two : i32
    %z = arith.addi %x, %y : i32
    %m = arith.remui %z, %five : i32
    %none = arith.constant 0 : i32
    %drop = arith.cmpi eq, %m, %none : i32
    %t = arith.mulf %p, %up : f32
    %r = arith.select %drop, %zero, %t : f32""", lambda c, p, b, h, i, j: np.where((i * 7 + j * 2) % 2**32 % 5 == 0, 0, p * p.dtype.type(1.25))),
}


def of_kind(kind):
    return [name for name, region in REGIONS.items() if region.kind == kind]
