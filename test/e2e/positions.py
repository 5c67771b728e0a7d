# RUN: %python %s
"""Positions by cache, mask and padding; sinusoids; rotary tables and rotations: around the vector sizes, at large positions."""
import numpy as np

from harness import Model, Module, Report, State, compile_module, each_variant, number, tensor
from reference import reference

report = Report("positions")
random = report.random
module = Module()
IDS, IDS32 = tensor("??", "i64"), tensor("??", "i32")
ids_argument = ("ids", IDS, ["batch", "seq"])
given_argument = ("given", IDS, ["batch", "seq"], True)

# ---- Positions --------------------------------------------------------------------------------------------
CACHE = "!attn.cache<1x1x8x8xf32>"
module.entry("masked", [ids_argument, given_argument, ("mask", IDS32, ["batch", "seq"], True)], [("y", IDS, "%y")],
             "%%y = attn.positions %%ids given %%given mask %%mask : (%s, %s, %s) -> %s" % (IDS, IDS, IDS32, IDS))
module.entry("padded", [ids_argument, given_argument], [("y", IDS, "%y")],
             "%%y = attn.positions %%ids given %%given {pad = 3 : i64} : (%s, %s) -> %s" % (IDS, IDS, IDS))
KV = tensor(("?", "?", 8))
module.entry("cached", [ids_argument, ("mask", IDS, ["batch", "keys"], True), ("x", KV, ["batch", "seq"]), ("cache", CACHE)],
             [("y", IDS, "%y")], """
             %%c0 = arith.constant 0 : index
             attn.cache_append %%x, %%x to %%cache[%%c0] : %s, %s, %s
             %%y = attn.positions %%ids cache %%cache mask %%mask : (%s, %s, %s) -> %s""" % (KV, KV, CACHE, IDS, CACHE, IDS, IDS))

# ---- Sinusoids --------------------------------------------------------------------------------------------
WIDTHS = (1, 2, 3, 8, 13, 24, 33, 64)
for width in WIDTHS:
    for halves in (False, True):
        y = tensor(("?", "?", width))
        module.entry("sinusoids%d%s" % (width, "_halves" * halves), [("p", IDS, ["batch", "seq"])], [("y", y, "%y")],
                     "%%y = attn.positional_encoding %%p %s : (%s) -> %s" % ("{halves}" * halves, IDS, y))

# ---- Rotations --------------------------------------------------------------------------------------------


def array(numbers):
    return "array<f64: %s>" % ", ".join("%.17e" % x for x in numbers)


TABLES = {}  # name: arguments of reference.rotary_table
for dim in (2, 6, 8, 26, 32, 64, 96):
    frequencies = reference.rotary_frequencies(dim, 500000.0)
    TABLES["plain%d" % dim] = {"frequencies": frequencies}
    TABLES["longer%d" % dim] = {"frequencies": frequencies, "scale": 1.19, "long_from": 20,
                                "long_frequencies": frequencies / random.uniform(1, 40, dim // 2)}
    if dim > 2:
        TABLES["ntk%d" % dim] = {"frequencies": frequencies, "long_from": 20, "ntk_factor": 2.5}
for name, options in TABLES.items():
    y = tensor(("?", "?", 2 * len(options["frequencies"])))
    ids = IDS32 if name.startswith("longer") else IDS
    attributes = ", ".join("%s = %s" % (key, array(value) if np.ndim(value) else "%d : i64" % value if key == "long_from" else number(value))
                           for key, value in options.items())
    module.entry(name, [("p", ids, ["batch", "seq"])], [("y", y, "%y")], "%%y = attn.rotary_table %%p {%s} : (%s) -> %s" % (attributes, ids, y))
ROTATIONS = [(heads, head_dim, dim, interleaved) for heads, head_dim, dim in
             [(1, 2, 2), (3, 8, 8), (3, 8, 6), (2, 13, 10), (4, 64, 64), (2, 80, 32), (5, 96, 96), (3, 33, 26)] for interleaved in (False, True)]
for heads, head_dim, dim, interleaved in ROTATIONS:
    x, t = tensor(("?", "?", heads * head_dim)), tensor(("?", "?", dim))
    module.entry("rotary_%d_%d_%d_%d" % (heads, head_dim, dim, interleaved), [("x", x, ["batch", "seq"]), ("t", t, ["batch", "seq"])],
                 [("y", x, "%y")], "%%y = attn.rotary %%x by %%t heads %d %s : (%s, %s) -> %s" % (heads, "{interleaved}" * interleaved, x, t, x))

path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for batch, seq in [(1, 1), (2, 17), (3, 65)]:
            label = "%s %dx%d" % (variant, batch, seq)
            ids, given = random.integers(0, 6, (batch, seq)), random.integers(0, 99, (batch, seq))
            mask = random.integers(-1, 2, (batch, seq)).astype(np.int32)
            for name, inputs, expected in [("masked", {"mask": mask}, {"mask": mask}), ("masked", {}, {}), ("padded", {}, {"pad": 3})]:
                report.equal("%s %s %s" % (label, name, list(inputs)), model.run(name, {"ids": ids, **inputs})["y"], reference.positions(ids, **expected))
                report.equal("%s %s given" % (label, name), model.run(name, {"ids": ids, "given": given, **inputs})["y"], given)
            for reach in (100, 1 << 20):
                p = random.integers(0, reach, (batch, seq))
                for width in WIDTHS:
                    for halves in (False, True):
                        # A position of 2^20 times an f64 frequency leaves an angle good to 2^-33.
                        report.close("%s sinusoids %d up to %d" % (label, width, reach), model.run("sinusoids%d%s" % (width, "_halves" * halves), {"p": p})["y"],
                                     reference.positional_encoding(p, width, halves), 1e-6)
            for reach in (19, 60, 1 << 20):
                p = random.integers(0, reach, (batch, seq))
                for name, options in TABLES.items():
                    report.close("%s table %s up to %d" % (label, name, reach), model.run(name, {"p": p.astype(np.int32) if "longer" in name else p})["y"],
                                 reference.rotary_table(p, **options), 1e-6)
            for heads, head_dim, dim, interleaved in ROTATIONS:
                x = random.standard_normal((batch, seq, heads * head_dim)).astype(np.float32)
                t = reference.rotary_table(random.integers(0, 99, (batch, seq)), reference.rotary_frequencies(dim)).astype(np.float32)
                name = "rotary_%d_%d_%d_%d" % (heads, head_dim, dim, interleaved)
                report.close("%s %s" % (label, name), model.run(name, {"x": x, "t": t})["y"], reference.rotary(x, t, heads, interleaved), 3e-7)
        # The one row of the batch at the limit keeps its frequencies, the row beyond has others.
        p = np.array([[19, 3], [20, 3]])
        report.close(variant + " rows of one batch", model.run("ntk8", {"p": p})["y"], reference.rotary_table(p, **TABLES["ntk8"]), 1e-6)
        for name in ("plain8", "longer8", "ntk8"):  # numbers that no sequence has: anything but a crash
            p = np.array([[2**31 - 1, -(2**31)]])
            model.run(name, {"p": p.astype(np.int32) if "longer" in name else p * 2**32})
        # Two calls over a cache: the mask covers what came before, or ends too early.
        for with_mask in (True, False):
            state, past, keys = State(model, 2, 64), 0, random.integers(0, 2, (2, 40))
            for seq in (5, 1, 1, 30):
                ids = random.integers(0, 6, (2, seq))
                inputs = {"mask": keys[:, :past + seq - (past > 6)]} if with_mask else {}
                dims = {} if with_mask else {"keys": 1}
                got = model.run("cached", {"ids": ids, "x": np.zeros((2, seq, 8), np.float32), **inputs}, state, [0, 1], dims)["y"]
                report.equal("%s cached %d after %d" % (variant, seq, past), got, reference.positions(ids, past=past, **inputs))
                past += seq
            state.close()
report.finish()
