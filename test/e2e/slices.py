# RUN: %python %s
"""Features of wider rows as operands of row-wise ops and of products: q, k and v of one product, gate and up of one product."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, tensor, tolerance
from reference import reference

report = Report("slices")
random = report.random
module = Module()
WIDE, PART = tensor(("?", "?", 60)), tensor(("?", "?", 24))
x_argument = ("x", WIDE, ["batch", "seq"])
SLICE = """
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %b = tensor.dim %x, %c0 : {wide}
    %s = tensor.dim %x, %c1 : {wide}
    %p = tensor.extract_slice %x[0, 0, 5] [%b, %s, 24] [1, 1, 1] : {wide} to {part}
    %q = tensor.extract_slice %x[0, 0, 36] [%b, %s, 24] [1, 1, 1] : {wide} to {part}
    """.format(wide=WIDE, part=PART)
gamma, weight = module.weight("gamma", random.standard_normal(24)), module.weight("weight", random.standard_normal((24, 37)))
half = module.weight("half", random.standard_normal((24, 24)), "bf16")
head, table = module.weight("head", random.standard_normal(8)), module.weight("table", random.standard_normal((9, 24)))
OPS = {  # name: result, body, weights, reference of p and q
    "layer_norm": (PART, "attn.layer_norm %p, %gamma, %gamma : ({part}, tensor<24xf32>, tensor<24xf32>) -> {part}", ["gamma"],
                   lambda p, q: reference.layer_norm(p, gamma, gamma)),
    "head_norm": (PART, "attn.rms_norm %q, %head {{groups = 3 : i64}} : ({part}, tensor<8xf32>) -> {part}", ["head"],
                  lambda p, q: reference.rms_norm(q, head, groups=3)),
    "gated": (PART, "attn.activation silu %p times %q : ({part}, {part}) -> {part}", [], lambda p, q: reference.activation(p, "silu", q)),
    "l2_norm": (PART, "attn.l2_norm %p : ({part}) -> {part}", [], lambda p, q: reference.l2_norm(p)),
    "log_softmax": (PART, "attn.log_softmax %q : ({part}) -> {part}", [], lambda p, q: reference.log_softmax(q)),
    "rotary": (PART, "attn.rotary %p by %q heads 1 : ({part}, {part}) -> {part}", [], lambda p, q: reference.rotary(p, q, 1)),
    "embedding": (PART, "attn.embedding %ids, %table residual %q : (tensor<?x?xi64>, tensor<9x24xf32>, {part}) -> {part}", ["table"],
                  lambda p, q: table[np.arange(p.shape[1])] + q),
    "linear": (tensor(("?", "?", 37)), "attn.linear %p, %weight : ({part}, tensor<24x37xf32>) -> tensor<?x?x37xf32>", ["weight"], lambda p, q: p @ weight),
    "residual": (PART, "attn.linear %p, %half residual %q : ({part}, tensor<24x24xbf16>, {part}) -> {part}", ["half"], lambda p, q: p @ half + q),
    "pool": (tensor(("?", 24)), "attn.pool mean %p : ({part}) -> tensor<?x24xf32>", [], lambda p, q: p.mean(1)),
    "argmax": (tensor("??", "i64"), "attn.argmax %q : ({part}) -> tensor<?x?xi64>", [], lambda p, q: reference.argmax(q)),
}
for name, (result, body, weights, _) in OPS.items():
    arguments, body = [x_argument], SLICE + "%y = " + body.format(part=PART)
    if name == "embedding":
        arguments.append(("ids", tensor("??", "i64"), ["batch", "seq"]))
    module.entry(name, arguments, [("y", result, "%y")], body, weights=weights)
# The feed-forward network of a Llama block: gate and up become one product, their results slices of its.
gate, up, down = (module.weight(n, random.standard_normal(s), k) for n, s, k in
                  [("gate", (24, 40), "bf16"), ("up", (24, 40), "bf16"), ("down", (40, 24), "f32")])
W, H = tensor((24, 40), "bf16"), tensor(("?", "?", 40))
module.entry("feed_forward", [("x", PART, ["batch", "seq"])], [("y", PART, "%y")], """
    %%g = attn.linear %%x, %%gate : (%s, %s) -> %s
    %%u = attn.linear %%x, %%up : (%s, %s) -> %s
    %%h = attn.activation silu %%g times %%u : (%s, %s) -> %s
    %%y = attn.linear %%h, %%down residual %%x : (%s, tensor<40x24xf32>, %s) -> %s""" % (PART, W, H, PART, W, H, H, H, H, H, PART, PART),
             weights=["gate", "up", "down"])

path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for batch, seq in [(1, 1), (2, 9), (3, 7)]:
            x = random.standard_normal((batch, seq, 60)).astype(np.float32)
            p, q = x[..., 5:29].astype(np.float64), x[..., 36:].astype(np.float64)
            for name, (_, _, _, oracle) in OPS.items():
                ids = {"ids": np.broadcast_to(np.arange(seq), (batch, seq))} if name == "embedding" else {}
                got = model.run(name, {"x": x, **ids})["y"]
                report.close("%s %s %dx%d" % (variant, name, batch, seq), got, oracle(p, q), tolerance(64))
            x = random.standard_normal((batch, seq, 24)).astype(np.float32)
            expected = x + reference.activation(x @ gate.astype(np.float64), "silu", x @ up.astype(np.float64)) @ down
            report.close("%s feed-forward %dx%d" % (variant, batch, seq), model.run("feed_forward", {"x": x})["y"], expected, tolerance(64))
report.finish()
