"""The cases of bench/attention.py: what each one computes, as a module, and its inputs."""
import itertools
import os
import re

import numpy as np

from common import run
from timed_model import TimedModel, mf  # which also makes the tests' harness known
from harness import Module

random = np.random.default_rng(1)

# A form: attributes; the operand, or the tensor that its region captures; the region. Filled in from the case.
FORMS = {
    "full": ("", "", ""),
    "causal": ("causal", "", ""),
    "no-op score region": ("causal", "", "score(%s, %b, %h, %i, %j) {{ attn.yield %s : f32 }}"),
    "ALiBi": ("causal", "alibi %slopes", ""),
    "ALiBi region": ("causal", "%slopes", """score(%s, %b, %h, %i, %j) {{
      %slope = attn.load %slopes[%h] : tensor<{heads}xf32>
      %steps = arith.subi %j, %i : i32
      %distance = arith.sitofp %steps : i32 to f32
      %bias = arith.mulf %slope, %distance : f32
      %new = arith.addf %s, %bias : f32
      attn.yield %new : f32 }}"""),
    "soft cap": ("causal, soft_cap = 20.0 : f64", "", ""),
    "window": ("causal, window_left = {left} : i64", "", ""),
    "window region": ("", "", """mask(%b, %h, %i, %j) {{
      %left = arith.constant {left} : i32
      %past = arith.cmpi sge, %i, %j : i32
      %steps = arith.subi %i, %j : i32
      %near = arith.cmpi sle, %steps, %left : i32
      %seen = arith.andi %past, %near : i1
      attn.yield %seen : i1 }}"""),
    "causal region": ("", "", """mask(%b, %h, %i, %j) {{
      %seen = arith.cmpi sge, %i, %j : i32
      attn.yield %seen : i1 }}"""),
    "documents": ("causal", "documents %ids", ""),
    "documents region": ("causal", "%ids", """mask(%b, %h, %i, %j) {{
      %own = attn.load %ids[%b, %i] : tensor<1x?xi32>
      %other = attn.load %ids[%b, %j] : tensor<1x?xi32>
      %same = arith.cmpi eq, %own, %other : i32
      attn.yield %same : i1 }}"""),
    "documents as ragged batch": ("causal, num_heads = {heads} : i64", "ragged %offsets", ""),
    "documents one by one": ("causal", "", ""),
}
# Forms that PyTorch says with another's words.
SAME = {"ALiBi region": "ALiBi", "window region": "window", "causal region": "causal", "documents region": "documents",
        "documents as ragged batch": "documents", "documents one by one": "documents"}


def all_cases(quick):
    """One dictionary each, which the peer reads too. left: how far a window of 512 looks back; document: its length."""
    part = 16 if quick else 1  # of every length

    def case(name, form, seq, dim, heads=8, **more):
        return dict(name=name, form=form, seq=seq // part, dim=dim, heads=heads, left=512 // part - 1, document=700 // part, **more)

    cases = [case("%s D%d S%d" % (form, dim, seq), form, seq, dim, heads=8 if seq == 4096 else 32)
             for dim in (64, 128) for seq in (512, 1024, 4096) for form in ("full", "causal")]
    cases += [case("%s D64 S8192" % form, form, 8192, 64) for form in ("causal", "window")]
    cases += [case("%s D64 S4096" % form, form, 4096, 64) for form in FORMS if form not in ("full", "causal")]
    # Caches of 1 GiB together take turns, as layers do: each is read from memory.
    cases += [case("decode " + dtype, "decode", 4096, 128, 32, kv_heads=8, dtype=dtype, copies=2 if quick else copies)
              for dtype, copies in (("f32", 32), ("bf16", 64))]
    return cases + [case("linear prefill", "linear", 2048, 128), case("linear decode", "linear", part, 128)]


def module(case):
    """The text of the case's .mlir: one entry, with lengths known at run time."""
    heads, dim, form = case["heads"], case["dim"], case["form"]
    rows = lambda n: "tensor<1x?x%dxf32>" % n
    if form == "decode":
        q, kv = rows(heads * dim), rows(case["kv_heads"] * dim)
        cache = "!attn.cache<1x%dx%dx%dx%s>" % (case["kv_heads"], dim, dim, case["dtype"])
        inputs, results = [("q", q, ["seq"]), ("k", kv, ["seq"]), ("v", kv, ["seq"]), ("cache", cache)], [("out", q, "%o")]
        body = """%%layer = arith.constant 0 : index
          attn.cache_append %%k, %%v to %%cache[%%layer] : %s, %s, %s
          %%o = attn.attention %%q cache %%cache[%%layer] {causal, num_heads = %d : i64} : (%s, %s, index) -> %s""" % (
            kv, kv, cache, heads, q, cache, q)
    elif form == "linear":
        q, rates, state = rows(heads * dim), rows(heads), "tensor<1x%dx%dx%dxf32>" % (heads, dim, dim)
        inputs = [(n, q, ["seq"]) for n in "qkv"] + [("g", rates, ["seq"]), ("b", rates, ["seq"]), ("s", state)]
        results = [("out", q, "%o"), ("new", state, "%n")]
        body = """%%o, %%n = attn.linear_attention gated_delta %%q, %%k, %%v decay %%g beta %%b state %%s {num_heads = %d : i64}
          : (%s) -> (%s, %s)""" % (heads, ", ".join(i[1] for i in inputs), q, state)
    else:
        attributes, operand, region = (text.format(**case) for text in FORMS[form])
        q = rows(heads * dim) if "ragged" in form else "tensor<1x%dx?x%dxf32>" % (heads, dim)
        inputs, results = [(n, q, ["seq"]) for n in "qkv"], [("out", q, "%o")]
        word, _, name = operand.partition("%")
        if name:
            inputs.append((name,) + {"slopes": ("tensor<%dxf32>" % heads,), "ids": ("tensor<1x?xi32>", ["seq"]),
                                     "offsets": ("tensor<?xi32>", ["ends"])}[name])
        body = "%%o = attn.attention %%q, %%k, %%v %s {%s} %s : (%s) -> %s" % (
            word and operand, attributes, region, ", ".join(i[1] for i in inputs[: 4 if word else 3]), q)
    text = Module()
    text.entry("forward", inputs, results, body)
    return text.text()


def prepare(runtime, attnc, work, case, target="native"):
    """The case's TimedModel, ready, and what to do before each of its runs."""
    path = os.path.join(work, re.sub(r"\W+", "-", case["name"] + " " + target))
    with open(path + ".mlir", "w", encoding="utf-8") as out:
        out.write(module(case))
    run([attnc, path + ".mlir", "-o", path + ".so", "--target=" + target])
    model = TimedModel(runtime, path + ".so")
    seq, heads, dim, form = case["seq"], case["heads"], case["dim"], case["form"]
    normal = lambda *shape: random.standard_normal(shape).astype(np.float32)
    if form == "decode":  # one filled cache and its copies; a run appends the last token to the next one
        turns = itertools.cycle(range(case["copies"]))
        model.create_state(case["copies"], seq)
        for tokens in (seq - 1, 1):
            model.calls.clear()
            model.add([normal(1, tokens, h * dim) for h in (heads, case["kv_heads"], case["kv_heads"])], [(1, tokens, heads * dim)])
            if tokens > 1:
                model.run()
        for slot in range(1, case["copies"]):
            model.state_op(mf.COPY, slot, 0)

        def before():
            model.calls[0][0].slots[0] = slot = next(turns)
            model.state_op(mf.TRUNCATE, slot, seq - 1)

        return model, before
    if form == "linear":
        q, k, v = (normal(1, seq, heads, dim) for _ in "qkv")
        k /= np.linalg.norm(k, axis=-1, keepdims=True)
        rates = [-0.1 * abs(normal(1, seq, heads)), random.random((1, seq, heads), np.float32), normal(1, heads, dim, dim)]
        model.add([x.reshape(1, seq, -1) for x in (q, k, v)] + rates, [(1, seq, heads * dim), (1, heads, dim, dim)])
    else:
        ends = [*range(0, seq, case["document"]), seq]
        lengths = np.diff(ends) if "one by one" in form else [seq]
        more = {"slopes": (2.0 ** (-8 * (np.arange(heads) + 1) / heads)).astype(np.float32), "offsets": np.array(ends, np.int32),
                "ids": np.arange(seq, dtype=np.int32)[None] // case["document"]}
        operand = FORMS[form][1].partition("%")[2]
        for n in map(int, lengths):
            shape = (1, n, heads * dim) if "ragged" in form else (1, heads, n, dim)
            model.add([normal(*shape) for _ in "qkv"] + ([more[operand]] if operand else []), [shape])
    return model, lambda: None
