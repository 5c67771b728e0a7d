# RUN: %python %s
"""Ids, positions and selections: embedding, positions, sinusoids, rotary, shift-right, select-token, argmax."""
import numpy as np

import model_file as mf
from harness import Model, Module, Report, compile_module, each_variant, tensor
from reference import reference

report = Report("tokens")
random = report.random
module = Module()
IDS, IDS32, HIDDEN = tensor("??", "i64"), tensor("??", "i32"), tensor(("?", "?", 13))
ids_argument = ("ids", IDS, ["batch", "seq"])
tables = {kind: module.weight("table_" + kind, random.standard_normal((37, 13)), kind) for kind in ("f32", "bf16", "f16")}
for kind in tables:
    module.entry("embed_" + kind, [ids_argument], [("y", HIDDEN, "%y")],
                 "%%y = attn.embedding %%ids, %%table_%s : (%s, %s) -> %s" % (kind, IDS, tensor((37, 13), kind), HIDDEN), weights=["table_" + kind])
# Ids that may be left out: row 0. A width of whole vectors and a rest.
WIDE = tensor(("?", "?", 37))
types = module.weight("types", random.standard_normal((3, 37)), "bf16")
module.entry("embed_optional", [("r", WIDE, ["batch", "seq"]), ("ids", IDS, ["batch", "seq"], True)], [("y", WIDE, "%y")],
             "%%y = attn.embedding %%ids, %%types residual %%r : (%s, %s, %s) -> %s" % (IDS, tensor((3, 37), "bf16"), WIDE, WIDE), weights=["types"])
module.entry("embed_i32", [("ids", IDS32, ["batch", "seq"])], [("y", HIDDEN, "%y")],
             "%%y = attn.embedding %%ids, %%table_f32 : (%s, %s) -> %s" % (IDS32, tensor((37, 13)), HIDDEN), weights=["table_f32"])
module.entry("embed_add", [ids_argument, ("r", HIDDEN, ["batch", "seq"])], [("y", HIDDEN, "%y")],
             "%%y = attn.embedding %%ids, %%table_f32 residual %%r : (%s, %s, %s) -> %s" % (IDS, tensor((37, 13)), HIDDEN, HIDDEN), weights=["table_f32"])
# A tied table is looked up in the packed panels.
LOGITS = tensor(("?", "?", 37))
module.entry("tied", [ids_argument], [("y", LOGITS, "%y")], """
    %%x = attn.embedding %%ids, %%table_bf16 : (%s, %s) -> %s
    %%y = attn.linear %%x, %%table_bf16 {transpose_weight} : (%s, %s) -> %s
    """ % (IDS, tensor((37, 13), "bf16"), HIDDEN, HIDDEN, tensor((37, 13), "bf16"), LOGITS), weights=["table_bf16"])
module.entry("positions", [ids_argument, ("given", IDS, ["batch", "seq"], True)], [("y", HIDDEN, "%y")], """
    %%p = attn.positions %%ids given %%given : (%s, %s) -> %s
    %%y = attn.embedding %%p, %%table_f32 : (%s, %s) -> %s""" % (IDS, IDS, IDS, IDS, tensor((37, 13)), HIDDEN), weights=["table_f32"])

path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for batch, seq in [(1, 1), (2, 17), (3, 65)]:
            label = "%s %dx%d" % (variant, batch, seq)
            ids = random.integers(0, 37, (batch, seq))
            ids.flat[0], ids.flat[-1] = 0, 36
            for kind, table in tables.items():
                report.equal("%s embedding %s" % (label, kind), model.run("embed_" + kind, {"ids": ids})["y"], table[ids])
            report.equal(label + " i32 ids", model.run("embed_i32", {"ids": ids.astype(np.int32)})["y"], tables["f32"][ids])
            r = random.standard_normal((batch, seq, 13)).astype(np.float32)
            report.equal(label + " residual", model.run("embed_add", {"ids": ids, "r": r})["y"], tables["f32"][ids] + r)
            r = random.standard_normal((batch, seq, 37)).astype(np.float32)
            report.equal(label + " optional ids", model.run("embed_optional", {"r": r, "ids": ids % 3})["y"], types[ids % 3] + r)
            report.equal(label + " ids left out", model.run("embed_optional", {"r": r})["y"], types[0] + r)
            table = tables["bf16"].astype(np.float64)
            report.close(label + " tied", model.run("tied", {"ids": ids})["y"], table[ids] @ table.T, 2e-6)
            here = np.broadcast_to(np.arange(seq) % 37, (batch, seq))
            if seq <= 37:
                report.equal(label + " positions", model.run("positions", {"ids": ids})["y"], tables["f32"][here])
            report.equal(label + " given positions", model.run("positions", {"ids": ids, "given": ids[:, ::-1]})["y"], tables["f32"][ids[:, ::-1]])
        for bad in (-1, 37, 2**31, 2**32, -(2**63), 2**63 - 1):
            ids = np.zeros((2, 5), np.int64)
            ids[1, 3] = bad
            report.status("%s id %d" % (variant, bad), mf.RANGE, model.run, "embed_f32", {"ids": ids})
            report.status("%s tied id %d" % (variant, bad), mf.RANGE, model.run, "tied", {"ids": ids})
        report.status(variant + " position beyond the table", mf.RANGE, model.run, "positions", {"ids": np.zeros((1, 38), np.int64)})
    with Model(path, variant, workers=2, schedule="threads") as model:
        ids = np.full((3, 65), 99)
        report.status(variant + " bad ids in several tasks", mf.RANGE, model.run, "embed_f32", {"ids": ids})
        ids = random.integers(0, 37, (3, 65))  # and the model goes on working
        report.equal(variant + " after a failure", model.run("embed_f32", {"ids": ids})["y"], tables["f32"][ids])
report.finish()
