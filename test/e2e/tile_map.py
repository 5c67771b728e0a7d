# RUN: %python %s
"""The tile analysis (attn-opt --attn-print-tile-map) against brute force, on random mask regions and attributes.

A tile printed as skipped must have no visible pair, and one printed as full only visible ones. Causal, window, prefix and
document masks written as regions must be exact: `+` only where a tile really is mixed.
"""
import os
import re
import subprocess
import tempfile

import numpy as np

from harness import BIN, Report

report = Report("tile map")
random = report.random
np.seterr(all="ignore")  # i32 and i64 wrap, as they do in the compiled code

INTS = {"i32": np.int32, "i64": np.int64}
UNSIGNED = {"i32": np.uint32, "i64": np.uint64}
BITS = {"i32": 32, "i64": 64}


def unsigned(x, kind):
    return np.ascontiguousarray(x).view(UNSIGNED[kind])


def signed(x, kind):
    return np.ascontiguousarray(x).view(INTS[kind])


def truncated(a, c):
    """Quotient towards zero; // rounds down."""
    q = a // c
    return q + ((q < 0) & (a - q * c != 0))


SAME_TYPE = {
    "addi": lambda a, c, k: a + c, "subi": lambda a, c, k: a - c, "muli": lambda a, c, k: a * c,
    "minsi": lambda a, c, k: np.minimum(a, c), "maxsi": lambda a, c, k: np.maximum(a, c),
    "minui": lambda a, c, k: signed(np.minimum(unsigned(a, k), unsigned(c, k)), k),
    "maxui": lambda a, c, k: signed(np.maximum(unsigned(a, k), unsigned(c, k)), k),
    "andi": lambda a, c, k: a & c, "ori": lambda a, c, k: a | c, "xori": lambda a, c, k: a ^ c,
}
BY_CONSTANT = {
    "divsi": lambda a, c, k: truncated(a, c), "remsi": lambda a, c, k: a - truncated(a, c) * c,
    "divui": lambda a, c, k: signed(unsigned(a, k) // unsigned(c, k), k),
    "remui": lambda a, c, k: signed(unsigned(a, k) % unsigned(c, k), k),
    "floordivsi": lambda a, c, k: a // c, "ceildivsi": lambda a, c, k: a // c + (a % c != 0),
    "andi": lambda a, c, k: a & c,
    "shli": lambda a, c, k: a << c, "shrsi": lambda a, c, k: a >> c,
    "shrui": lambda a, c, k: signed(unsigned(a, k) >> unsigned(c, k), k),
}
COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "slt": np.less, "sle": np.less_equal, "sgt": np.greater,
    "sge": np.greater_equal, "ult": np.less, "ule": np.less_equal, "ugt": np.greater, "uge": np.greater_equal,
}


class Mask:
    """Text of a mask region, and the values of what it computes: arrays that broadcast to [batch, heads, queries, keys]."""

    def __init__(self, shape, offset):
        self.shape, self.lines, self.values, self.arguments = shape, [], [], []
        batch, heads, queries, keys = (np.arange(n, dtype=np.int32) for n in shape)
        for d, (name, x) in enumerate(zip("bhij", (batch, heads, queries + np.int32(offset), keys))):
            self.values.append(("%" + name, "i32", x.reshape([-1 if d == e else 1 for e in range(4)])))

    def add(self, text, kind, value):
        name = "%%v%d" % len(self.lines)
        self.lines.append("%s = %s" % (name, text))
        self.values.append((name, kind, value))
        return self.values[-1]

    def constant(self, kind, value):
        if kind == "i1":
            return self.add("arith.constant %s" % str(bool(value)).lower(), kind, np.full((1, 1, 1, 1), bool(value)))
        return self.add("arith.constant %d : %s" % (value, kind), kind, np.full((1, 1, 1, 1), value, INTS[kind]))

    def capture(self, kind, value):
        name = "%%c%d" % len(self.arguments)
        self.arguments.append((name, kind))
        self.values.append((name, kind, np.full((1, 1, 1, 1), value, bool if kind == "i1" else INTS[kind])))

    def load(self):
        """An element of a captured tensor: [b, j], or clamped to its size."""
        name, keys = "%%c%d" % len(self.arguments), self.shape[3]
        kind = random.choice(["i1", "i32", "i64"])
        self.arguments.append((name, "tensor<%dx%dx%s>" % (self.shape[0], keys, kind)))
        data = random.integers(-5, 100, (self.shape[0], 1, 1, keys)).astype(INTS.get(kind, np.int32))
        data = data > 50 if kind == "i1" else data
        self.add("attn.load %s[%%b, %%j] : %s" % self.arguments[-1], kind, data)

    def any(self, kind):
        fitting = [v for v in self.values if v[1] == kind]
        if not fitting or random.random() < 0.25:
            return self.constant(kind, random.integers(0, 2) if kind == "i1" else number(kind))
        return fitting[-1 - int(random.integers(0, min(6, len(fitting))))]

    def compare(self):
        kind = str(random.choice(["i32", "i32", "i64"]))
        a, c, predicate = self.any(kind), self.any(kind), str(random.choice(list(COMPARE)))
        x, y = (unsigned(v[2], kind) if predicate[0] == "u" else v[2] for v in (a, c))
        self.add("arith.cmpi %s, %s, %s : %s" % (predicate, a[0], c[0], kind), "i1", COMPARE[predicate](x, y))

    def step(self):
        """One random op."""
        kind = str(random.choice(["i32", "i32", "i32", "i64"]))
        choice = random.integers(0, 12)
        if choice < 4:
            a, c, op = self.any(kind), self.any(kind), str(random.choice(list(SAME_TYPE)))
            self.add("arith.%s %s, %s : %s" % (op, a[0], c[0], kind), kind, SAME_TYPE[op](a[2], c[2], kind))
        elif choice < 6:
            op = str(random.choice(list(BY_CONSTANT)))
            c = int(random.integers(0, BITS[kind])) if op[:2] == "sh" else number(kind)
            if op[:2] != "sh" and c in (0, -1):
                c = 64
            a, c = self.any(kind), self.constant(kind, c)
            self.add("arith.%s %s, %s : %s" % (op, a[0], c[0], kind), kind, BY_CONSTANT[op](a[2], c[2], kind))
        elif choice == 6:
            a, c, p = self.any(kind), self.any(kind), self.any("i1")
            self.add("arith.select %s, %s, %s : %s" % (p[0], a[0], c[0], kind), kind, np.where(p[2], a[2], c[2]))
        elif choice == 7:
            a = self.any("i1" if random.random() < 0.3 else "i32")
            op = str(random.choice(["extsi", "extui"]))
            x = a[2].astype(np.int64) if op == "extui" and a[1] == "i1" else \
                -a[2].astype(np.int64) if a[1] == "i1" else \
                unsigned(a[2], "i32").astype(np.int64) if op == "extui" else a[2].astype(np.int64)
            self.add("arith.%s %s : %s to i64" % (op, a[0], a[1]), "i64", x)
        elif choice == 8:
            a, to = self.any("i64"), str(random.choice(["i32", "i32", "i1"]))
            self.add("arith.trunci %s : i64 to %s" % (a[0], to), to, a[2].astype(np.int32) if to == "i32" else (a[2] & 1) > 0)
        elif choice == 9:
            a, c, op = self.any("i1"), self.any("i1"), str(random.choice(["andi", "ori", "xori"]))
            self.add("arith.%s %s, %s : i1" % (op, a[0], c[0]), "i1", SAME_TYPE[op](a[2], c[2], None))
        elif choice == 10 and random.random() < 0.3:
            a = self.any(kind)
            self.add("math.absi %s : %s" % (a[0], kind), kind, np.abs(a[2]))
        elif choice == 10 and random.random() < 0.3:
            self.load()
        else:
            self.compare()

    def randomise(self):
        if random.random() < 0.5:
            for kind in ("i32", "i64", "i1"):
                self.capture(kind, int(random.integers(0, 2)) if kind == "i1" else number(kind))
        for _ in range(random.integers(1, 12)):
            self.step()
        self.compare()
        while random.random() < 0.5:  # comparisons are and-ed and or-ed
            last = self.values[-1]
            self.compare()
            op = str(random.choice(["andi", "ori", "xori"]))
            self.add("arith.%s %s, %s : i1" % (op, last[0], self.values[-1][0]), "i1",
                     SAME_TYPE[op](last[2], self.values[-1][2], None))

    def text(self):
        lines = self.lines + ["attn.yield %s : i1" % self.values[-1][0]]
        return "mask(%b, %h, %i, %j) {\n    " + "\n    ".join(lines) + "\n  }"


def number(kind):
    common = [0, 1, 2, 3, 7, 16, 63, 64, -64, 100, 128, -2 ** (BITS[kind] - 1), 2 ** (BITS[kind] - 1) - 1]
    return int(random.choice(common)) if random.random() < 0.6 else int(random.integers(-300, 300))


class Case:
    """One function with one masked attention: its text, and which pairs are visible."""

    def __init__(self, shape, attributes=None, offset=0, mask=None, exact=False):
        self.shape, self.exact = shape, exact
        self.attributes = dict(attributes or {}, num_heads=shape[1])
        if offset:
            self.attributes["causal_offset"] = offset
        self.mask = mask
        batch, heads, queries, keys = shape
        i, j = np.arange(queries)[:, None] + offset, np.arange(keys)[None, :]
        visible = np.full((queries, keys), True)
        if "causal" in self.attributes:
            visible &= j <= i
        if "window_left" in self.attributes or "window_right" in self.attributes:
            left, right = (self.attributes.get("window_" + side, 2 ** 40) for side in ("left", "right"))
            visible &= ((j >= i - left) & (j <= i + right)) | (j < self.attributes.get("sinks", 0))
        self.visible = np.broadcast_to(visible, shape)
        if mask:
            self.visible = self.visible & mask.values[-1][2]

    def text(self, name):
        batch, heads, queries, keys = self.shape
        q, k = ("tensor<%dx%dx%dxf32>" % (batch, n, 4 * heads) for n in (queries, keys))
        captured = "".join(", %s: %s" % c for c in (self.mask.arguments if self.mask else []))
        notes = ", ".join(n if v is None else "%s = %d : i64" % (n, v) for n, v in self.attributes.items())
        return """func.func @%s(%%q: %s, %%k: %s%s) -> %s {
  %%o = attn.attention %%q, %%k, %%k {%s} %s : (%s, %s, %s) -> %s
  return %%o : %s
}
""" % (name, q, k, captured, q, notes, self.mask.text() if self.mask else "", q, k, k, q, q)

    def check(self, name, maps, rows, keys):
        """Compares the maps printed for this function; returns the numbers of tiles, and of mixed ones printed `+`."""
        report.expect(name, maps, "expected a map")
        mixed = 0
        for batch, head, lines, counts in maps:
            seen = self.visible[slice(None) if batch is None else batch, slice(None) if head is None else head]
            seen = seen.reshape((-1,) + self.shape[2:])
            starts = np.arange(0, self.shape[2], rows), np.arange(0, self.shape[3], keys)
            some = np.logical_or.reduceat(np.logical_or.reduceat(seen.any(0), starts[0], 0), starts[1], 1)
            every = np.logical_and.reduceat(np.logical_and.reduceat(seen.all(0), starts[0], 0), starts[1], 1)
            printed = np.array([list(line) for line in lines])
            place = "%s batch %s head %s, tiles of %d x %d" % (name, batch, head, rows, keys)
            report.expect(place, printed.shape == some.shape, "expected %s tiles, got %s" % (some.shape, printed.shape))
            report.expect(place, not (some & (printed == ".")).any(), "skips visible pairs:\n" + self.text(name))
            report.expect(place, not (~every & (printed == "#")).any(), "shows hidden pairs:\n" + self.text(name))
            report.expect(place, counts == tuple((printed == c).sum() for c in ".#+"), "wrong counts: %s" % (counts,))
            vague = (printed == "+") & (every | ~some)
            if self.exact:
                report.expect(place, not vague.any(), "expected exact tiles, got %d vague ones:\n%s"
                              % (vague.sum(), self.text(name)))
            tiles[0] += printed.size
            tiles[1] += vague.sum()


tiles = [0, 0]  # all, and those printed `+` although they are not mixed


def run(cases, rows, keys):
    """Prints the maps of all cases at once, and checks each."""
    with tempfile.NamedTemporaryFile("w", suffix=".mlir") as file:
        file.write("".join(case.text("f%d" % n) for n, case in enumerate(cases)))
        file.flush()
        done = subprocess.run([os.path.join(BIN, "attn-opt"), file.name, "-o", os.devnull,
                               "--attn-print-tile-map=tile-rows=%d tile-keys=%d" % (rows, keys)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    report.expect("attn-opt", done.returncode == 0, done.stderr[:2000])
    maps = {}
    for line in done.stdout.splitlines():
        head = re.match(r"@(\w+): batch (\w+), head (\w+), ", line)
        counts = re.match(r"(\d+) skipped, (\d+) full, (\d+) partial$", line)
        if head:
            batch, which = (None if text == "any" else int(text) for text in head.groups()[1:])
            found = maps.setdefault(head.group(1), [])
            found.append([batch, which, [], None])
        elif counts:
            found[-1][3] = tuple(map(int, counts.groups()))
        else:
            found[-1][2].append(line)
    for n, case in enumerate(cases):
        case.check("f%d" % n, maps.get("f%d" % n), rows, keys)


def random_case():
    shape = tuple(int(random.integers(1, n)) for n in (3, 3, 140, 140))
    offset = int(random.integers(-100, 100)) if random.random() < 0.3 else 0
    attributes = {}
    if random.random() < 0.2:
        attributes["causal"] = None
    for side in ("left", "right"):
        if random.random() < 0.2:
            attributes["window_" + side] = int(random.integers(0, 100))
    if "window_left" in attributes and random.random() < 0.5:
        attributes["sinks"] = int(random.integers(1, 70))
    if attributes and random.random() < 0.2:
        return Case(shape, attributes, offset)
    mask = Mask(shape, offset)
    mask.randomise()
    return Case(shape, attributes, offset, mask)


def known(name, offset):
    """A usual mask, written as a region."""
    shape = tuple(int(random.integers(1, n)) for n in (3, 3, 500, 500))
    mask, c = Mask(shape, offset), int(random.integers(1, 200))
    (_, _, b), (_, h_kind, h), (_, _, i), (_, _, j) = mask.values

    def op(text, value, kind="i32"):
        return mask.add(text, kind, value)[0]

    def size(value):
        return mask.constant("i32", value)[0]

    causal = lambda: op("arith.cmpi sle, %j, %i : i32", j <= i, "i1")
    if name == "causal":
        causal()
    elif name == "window":
        distance = op("arith.subi %i, %j : i32", i - j)
        near = op("arith.cmpi slt, %s, %s : i32" % (distance, size(c)), i - j < c, "i1")
        op("arith.andi %s, %s : i1" % (causal(), near), (j <= i) & (i - j < c), "i1")
    elif name == "symmetric":
        distance = op("math.absi %s : i32" % op("arith.subi %i, %j : i32", i - j), abs(i - j))
        op("arith.cmpi sle, %s, %s : i32" % (distance, size(c)), abs(i - j) <= c, "i1")
    elif name == "circle":
        distance = op("arith.subi %i, %j : i32", i - j)
        square = op("arith.muli %s, %s : i32" % (distance, distance), (i - j) ** 2)
        op("arith.cmpi ult, %s, %s : i32" % (square, size(c * c)), (i - j) ** 2 < c * c, "i1")
    elif name == "prefix":
        inside = op("arith.cmpi slt, %%j, %s : i32" % size(c), j < c, "i1")
        op("arith.ori %s, %s : i1" % (causal(), inside), (j <= i) | (j < c), "i1")
    elif name == "documents":  # of equal length, each causal in itself or not
        own, other = (op("arith.floordivsi %%%s, %s : i32" % (x, size(c)), v // c) for x, v in (("i", i), ("j", j)))
        op("arith.cmpi eq, %s, %s : i32" % (own, other), i // c == j // c, "i1")
    elif name == "heads":  # a window of its own for each head
        width = op("arith.muli %%h, %s : i32" % size(c), h * c)
        first = op("arith.subi %%i, %s : i32" % width, i - h * c)
        near = op("arith.cmpi sge, %%j, %s : i32" % first, j >= i - h * c, "i1")
        op("arith.andi %s, %s : i1" % (causal(), near), (j <= i) & (j >= i - h * c), "i1")
    elif name == "alignment":  # whole blocks of 32 keys up to the query's
        start = op("arith.andi %%i, %s : i32" % size(-32), i & -32)
        op("arith.cmpi slt, %%j, %s : i32" % start, j < (i & -32), "i1")
    return Case(shape, None, offset, mask, exact=True)


full = bool(os.environ.get("ATTN_TEST_FULL"))
for rows, keys in ((64, 64), (16, 32), (5, 7)):
    run([random_case() for _ in range(8000 if full else 800)], rows, keys)
report.expect("precision", tiles[1] < tiles[0] / 3, "expected few vague tiles, got %d of %d" % (tiles[1], tiles[0]))
print("random masks: %d tiles, %d of them computed though all or nothing is visible" % tuple(tiles))
usual = ("causal", "window", "symmetric", "circle", "prefix", "documents", "heads", "alignment")
run([known(name, int(random.integers(-200, 200)) if n % 2 else 0) for name in usual for n in range(10)], 64, 64)
attributes = ({"causal": None}, {"window_left": 70}, {"window_left": 30, "window_right": 200}, {"causal": None, "window_left": 0})
run([Case((1, 1, int(random.integers(1, 500)), int(random.integers(1, 500))), a, int(random.integers(-200, 200)), exact=True)
     for a in attributes for _ in range(10)], 64, 64)
report.finish()
