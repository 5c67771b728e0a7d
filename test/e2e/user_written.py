# RUN: %python %s
"""Attention that the user wrote with products and a softmax runs as attn.attention, and is right."""
import os
import re
import subprocess

import numpy as np

from harness import ATTNC, Model, Module, Report, compile_module, each_variant, tensor, tolerance
from reference import attention, reference

report = Report("user written")
random = report.random
X, S, W = tensor(("?", "?", 24)), tensor(("?", "?", "?")), tensor((24, 24))
H = tensor(("?", 3, "?", 8))
ZEROS = """
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %never = arith.constant 0xFF800000 : f32
  %b = tensor.dim %x, %c0 : {x}
  %n = tensor.dim %x, %c1 : {x}
  %s0 = tensor.splat %zero[%b, %n, %n] : {s}
  %y0 = tensor.splat %zero[%b, %n] : {x}
"""

# name: (text from %x, and %q, %k, %v where they are products, to %y; what it computes)
CASES = {
    # One head, a transposed key, no scale.
    "plain": ("""
  %e = tensor.empty(%b, %n) : tensor<?x24x?xf32>
  %kt = linalg.transpose ins(%k : {x}) outs(%e : tensor<?x24x?xf32>) permutation = [0, 2, 1]
  %s = linalg.batch_matmul ins(%q, %kt : {x}, tensor<?x24x?xf32>) outs(%s0 : {s}) -> {s}
  %p = linalg.softmax dimension(2) ins(%s : {s}) outs(%s0 : {s}) -> {s}
  %y = linalg.batch_matmul ins(%p, %v : {s}, {x}) outs(%y0 : {x}) -> {x}
""", dict(heads=1, scale=1.0)),
    # One head, a scaled query and scores, a causal mask from indices.
    "causal": ("""
  %half = arith.constant 0.5 : f32
  %halves = tensor.splat %half[%b, %n] : {x}
  %quarter = arith.constant 0.25 : f32
  %quarters = tensor.splat %quarter[%b, %n, %n] : {s}
  %qs = arith.mulf %q, %halves : {x}
  %s = linalg.batch_matmul indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>, affine_map<(b, m, n, k) -> (b, n, k)>, affine_map<(b, m, n, k) -> (b, m, n)>] ins(%qs, %k : {x}, {x}) outs(%s0 : {s}) -> {s}
  %t = arith.mulf %s, %quarters : {s}
  %mask = tensor.generate %b, %n, %n {{
  ^bb0(%a: index, %i: index, %j: index):
    %visible = arith.cmpi ule, %j, %i : index
    %m = arith.select %visible, %zero, %never : f32
    tensor.yield %m : f32
  }} : {s}
  %u = arith.addf %mask, %t : {s}
  %p = linalg.softmax dimension(2) ins(%u : {s}) outs(%s0 : {s}) -> {s}
  %y = linalg.batch_matmul ins(%p, %v : {s}, {x}) outs(%y0 : {x}) -> {x}
""", dict(heads=1, scale=0.125, causal=True)),
    # Three heads, [batch, heads, seq, head_dim].
    "heads": ("""
  %qh = attn.split_heads %q into 3 : ({x}) -> {h}
  %kh = attn.split_heads %k into 3 : ({x}) -> {h}
  %vh = attn.split_heads %v into 3 : ({x}) -> {h}
  %sh = tensor.splat %zero[%b, %n, %n] : tensor<?x3x?x?xf32>
  %yh = tensor.splat %zero[%b, %n] : {h}
  %s = linalg.contract indexing_maps = [affine_map<(b, h, m, n, k) -> (b, h, m, k)>, affine_map<(b, h, m, n, k) -> (b, h, n, k)>, affine_map<(b, h, m, n, k) -> (b, h, m, n)>] ins(%qh, %kh : {h}, {h}) outs(%sh : tensor<?x3x?x?xf32>) -> tensor<?x3x?x?xf32>
  %two = arith.constant 2.0 : f32
  %twos = tensor.splat %two[%b, %n, %n] : tensor<?x3x?x?xf32>
  %t = arith.divf %s, %twos : tensor<?x3x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%t : tensor<?x3x?x?xf32>) outs(%sh : tensor<?x3x?x?xf32>) -> tensor<?x3x?x?xf32>
  %o = linalg.contract indexing_maps = [affine_map<(b, h, m, n, k) -> (b, h, m, k)>, affine_map<(b, h, m, n, k) -> (b, h, k, n)>, affine_map<(b, h, m, n, k) -> (b, h, m, n)>] ins(%p, %vh : tensor<?x3x?x?xf32>, {h}) outs(%yh : {h}) -> {h}
  %y = attn.merge_heads %o : ({h}) -> {x}
""", dict(heads=3, scale=0.5)),
}
PROJECTIONS = """
  %q0 = attn.linear %x, %wq : ({x}, {w}) -> {x}
  %bq = linalg.broadcast ins(%cq : tensor<24xf32>) outs(%y0 : {x}) dimensions = [0, 1]
  %q = arith.addf %q0, %bq : {x}
  %k0 = attn.linear %x, %wk : ({x}, {w}) -> {x}
  %bk = linalg.broadcast ins(%ck : tensor<24xf32>) outs(%y0 : {x}) dimensions = [0, 1]
  %k = arith.addf %k0, %bk : {x}
  %v0 = attn.linear %x, %wv : ({x}, {w}) -> {x}
  %bv = linalg.broadcast ins(%cv : tensor<24xf32>) outs(%y0 : {x}) dimensions = [0, 1]
  %v = arith.addf %v0, %bv : {x}
"""

module = Module()
weights = {n: module.weight(n, random.standard_normal((24, 24) if n[0] == "w" else 24) / 5) for n in ("wq", "wk", "wv", "cq", "ck", "cv")}
for name, (body, _) in CASES.items():
    # With q = k = v = x; and with projections, which become one product.
    text = (ZEROS + re.sub(r"%[qkv]\b", "%x", body)).format(x=X, s=S, w=W, h=H)
    module.entry(name, [("x", X, ["batch", "seq"])], [("y", X, "%y")], text)
    module.entry(name + "_projected", [("x", X, ["batch", "seq"])], [("y", X, "%y")],
                 (ZEROS + PROJECTIONS + body).format(x=X, s=S, w=W, h=H), weights=list(weights))

path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for batch, seq in [(1, 1), (2, 17), (3, 65)]:
            x = random.standard_normal((batch, seq, 24)).astype(np.float32)
            label = "%s %%s %dx%d" % (variant, batch, seq)
            for name, (_, options) in CASES.items():
                options = dict(options)
                heads = options.pop("heads")
                for projected in (False, True):
                    q, k, v = (x.astype(np.float64) @ weights["w" + r] + weights["c" + r] if projected else x for r in "qkv")
                    split = [reference.split_heads(t, heads) for t in (q, k, v)]
                    expected = attention.attention(*split, **options).transpose(0, 2, 1, 3).reshape(batch, seq, 24)
                    entry = name + "_projected" * projected
                    got = model.run(entry, {"x": x})["y"]
                    report.close(label % entry, got, expected, tolerance(seq))

# Six attentions, three joined products, and nothing left of what was written.
source = os.path.join(os.path.dirname(path), "model.mlir")
fused = subprocess.run([ATTNC, source, "--emit=fused", "-o", "-"], stdout=subprocess.PIPE, check=True).stdout.decode()
for text, count in [("attn.attention", 6), ("attn.linear", 3), ("linalg.softmax", 0), ("linalg.transpose", 0), ("arith.addf", 0)]:
    report.expect(text, fused.count(text) == count, "expected %d, got %d" % (count, fused.count(text)))
report.finish()
