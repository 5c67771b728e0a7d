# RUN: %python %s
"""What a call may do differently: int32 in place of int64, outputs that are left out."""
import itertools

import numpy as np

import model_file as mf
from harness import Model, Module, Report, compile_module, each_variant, tensor
from reference.attention import packed

report = Report("call options")
random = report.random
VOCABULARY, WIDTH, HEADS = 23, 26, 2
OUTPUTS = ("hidden", "pooled", "logits", "next")

module = Module()
table = module.weight("table", random.standard_normal((VOCABULARY, WIDTH)))
head = module.weight("head", random.standard_normal((WIDTH, 5)))
ids, hidden, pooled, logits = (tensor(("?", "?"), "i64"), tensor(("?", "?", WIDTH)), tensor(("?", WIDTH)), tensor(("?", "?", 5)))
at = tensor("?", "i64")
module.entry("forward", [("ids", ids, ["batch", "seq"], False, True), ("mask", ids, ["batch", "seq"], True, True),
                         ("at", at, ["batch"], True, True), ("only", at, ["batch"], True)],
             [("hidden", hidden, "%hidden"), ("pooled", pooled, "%pooled"), ("logits", logits, "%logits"), ("next", ids, "%next")], """
    %%x = attn.embedding %%ids, %%table : (%s, %s) -> %s
    %%hidden = attn.attention %%x, %%x, %%x key_mask %%mask {num_heads = %d : i64} : (%s, %s, %s, %s) -> %s
    %%first = attn.select_token %%hidden at %%only : (%s, %s) -> %s
    %%second = attn.select_token %%hidden at %%at : (%s, %s) -> %s
    %%pooled = arith.addf %%first, %%second : %s
    %%logits = attn.linear %%hidden, %%head : (%s, %s) -> %s
    %%next = attn.argmax %%logits : (%s) -> %s
    """ % (ids, tensor(table.shape), hidden, HEADS, hidden, hidden, hidden, ids, hidden, hidden, at, pooled, hidden, at, pooled, pooled,
           hidden, tensor(head.shape), logits, logits, ids), weights=("table", "head"))


def expected(given):
    x = table[given["ids"]]
    hidden = packed(x, x, x, HEADS, key_mask=given.get("mask"))
    rows = np.arange(len(x))
    last = np.full(len(x), x.shape[1] - 1)
    return {"hidden": hidden, "logits": hidden @ head, "pooled": hidden[rows, given.get("at", last)] + hidden[rows, given.get("only", last)]}


def check(model):
    for batch, seq in [(1, 1), (3, 7), (2, 70)]:
        label = "%s B%d S%d" % (model.variant, batch, seq)
        every = {"ids": random.integers(0, VOCABULARY, (batch, seq)), "mask": random.integers(0, 2, (batch, seq)), "at": random.integers(0, seq, batch),
                 "only": random.integers(0, seq, batch)}
        every["mask"][:, 0] = 1
        for names in (["ids"], ["ids", "mask"], ["ids", "at"], list(every)):
            given = {name: every[name] for name in names}
            first = model.run("forward", given)
            for name, value in expected(given).items():
                report.close("%s %s %s" % (label, names, name), first[name], value, 1e-5)
            narrow = [name for name in names if name != "only"]
            for count in range(1, len(narrow) + 1):
                for some in itertools.combinations(narrow, count):
                    got = model.run("forward", {n: a.astype(np.int32) if n in some else a for n, a in given.items()})
                    for name in OUTPUTS:
                        report.equal("%s int32 %s of %s %s" % (label, some, names, name), got[name], first[name])
            for count in range(1, len(OUTPUTS) + 1):
                for skip in itertools.combinations(OUTPUTS, count):
                    got = model.run("forward", {n: a.astype(np.int32) if n != "only" else a for n, a in given.items()}, skip=skip)
                    report.expect("%s without %s" % (label, skip), set(got) == set(OUTPUTS) - set(skip), "got %s" % list(got))
                    for name in got:
                        report.equal("%s without %s %s" % (label, skip, name), got[name], first[name])


def check_errors(model):
    ids, run = random.integers(0, VOCABULARY, (2, 3)), lambda given, **more: model.run("forward", dict({"ids": ids}, **given), **more)
    for kind, text in [(np.float32, "float32"), (np.int8, "int8"), (np.float64, "float64")]:
        report.status("ids of " + text, mf.DTYPE, run, {"ids": ids.astype(kind)}, saying="ids: expected int64 or int32 [batch, seq], got %s [2, 3]" % text)
    report.status("mask of float32", mf.DTYPE, run, {"mask": ids.astype(np.float32)}, saying="mask: expected int64 or int32 [batch = 2, seq = 3], got float32 [2, 3]")
    report.status("int64 only", mf.DTYPE, run, {"only": ids[:, 0].astype(np.int32)}, saying="only: expected int64 [batch = 2], got int32 [2]")
    report.status("another shape", mf.SHAPE, run, {"mask": ids[:, :2].astype(np.int32)}, saying="mask: expected int64 or int32 [batch = 2, seq = 3], got int32 [2, 2]")
    report.status("an id below 0", mf.RANGE, run, {"ids": np.where(ids == ids[0, 0], -1, ids).astype(np.int32)})
    for given, skip in (({"ids": ids.astype(np.int32)}, ()), ({}, ("hidden",)), ({}, OUTPUTS)):
        report.status("a small workspace", mf.WORKSPACE, run, given, skip=skip, missing_workspace=64, saying="forward: expected a workspace of ")


path = compile_module(module)
for number, variant in enumerate(each_variant(path)):
    with Model(path, variant) as model:
        check(model)
        if number == 0:
            check_errors(model)
report.finish()
