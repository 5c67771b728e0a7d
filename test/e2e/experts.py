# RUN: %python %s
"""Mixture of experts: routing, products of every shape of group, and their sum; parameters of one tensor and of many."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, tensor, tolerance
from model_file import RANGE
from reference import safetensors
from reference.experts import combine_experts, expert_linear, route

report = Report("experts")
random = report.random


def X(*shape, kind="f32"):
    return tensor(("?", "?") + shape, kind)


# ---- Routing ----------------------------------------------------------------------------------------------

module = Module()
ROUTES = [(1, 1), (3, 1), (3, 3), (8, 2), (32, 4), (17, 4), (128, 8)]
for experts, top_k in ROUTES:
    module.entry("route%d_%d" % (experts, top_k), [("x", X(experts), ["batch", "seq"])],
                 [("w", X(top_k), "%r#0"), ("e", X(top_k, kind="i64"), "%r#1")],
                 "%%r:2 = attn.route %%x top_k %d : (%s) -> (%s, %s)" % (top_k, X(experts), X(top_k), X(top_k, kind="i64")), {"seq": (0, 65536)})
COMBINES = [(1, 1), (2, 7), (4, 33), (3, 64)]
for top_k, n in COMBINES:
    for residual in (False, True):
        arguments = [("y", X(top_k, n), ["batch", "seq"]), ("w", X(top_k), ["batch", "seq"])] + [("x", X(n), ["batch", "seq"])] * residual
        module.entry("combine%d_%d_%d" % (top_k, n, residual), arguments, [("z", X(n), "%z")],
                     "%%z = attn.combine_experts %%y weights %%w%s : (%s) -> %s" % (
                         " residual %x" if residual else "", ", ".join(a[1] for a in arguments), X(n)))
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for experts, top_k in ROUTES:
            for batch, seq in ((1, 1), (2, 17), (1, 0)):
                name, logits = "route%d_%d" % (experts, top_k), random.standard_normal((batch, seq, experts)).astype(np.float32)
                if seq > 1:
                    logits[0, 1] = 0.5  # all equal: the first ones, in order
                    logits[0, 2] = random.integers(0, 2, experts)
                    logits[0, 3] *= 100
                    logits[0, 4, 1:] = -np.inf
                    logits[0, 5, : experts - top_k] = np.nan  # never chosen
                chosen = np.where(np.isnan(logits), -np.inf, logits)
                weights, order = route(chosen, top_k)
                got = model.run(name, {"x": logits})
                report.equal("%s %s %dx%d experts" % (variant, name, batch, seq), got["e"], order)
                report.close("%s %s %dx%d weights" % (variant, name, batch, seq), got["w"], weights, 1e-6)
            # Fewer numbers than choices: NaN, and experts that are there.
            logits = np.full((1, 2, experts), np.nan, np.float32)
            logits[0, 1, : top_k - 1] = 1
            got = model.run("route%d_%d" % (experts, top_k), {"x": logits})
            report.expect(variant + " NaN", np.isnan(got["w"]).all() and ((got["e"] >= 0) & (got["e"] < experts)).all(), str(got))
        for top_k, n in COMBINES:
            for residual in (False, True):
                for batch, seq in ((1, 1), (3, 17)):
                    given = {"y": random.standard_normal((batch, seq, top_k, n)).astype(np.float32),
                             "w": random.random((batch, seq, top_k)).astype(np.float32)}
                    if residual:
                        given["x"] = random.standard_normal((batch, seq, n)).astype(np.float32)
                    name = "combine%d_%d_%d" % (top_k, n, residual)
                    report.close("%s %s %dx%d" % (variant, name, batch, seq), model.run(name, given)["z"],
                                 combine_experts(given["y"], given["w"], given.get("x")), 1e-6, floor=0.02)

# ---- Products ---------------------------------------------------------------------------------------------


class Case:
    """One product. `own`: the input has a row for each choice. parameters: "one" tensor, or two of all experts' "halves" of the
    columns, or "stacked" ones of each expert, or those "joined" of two parts each."""

    def __init__(self, module, experts, top_k, k, n, kind="f32", bias=False, transposed=False, own=False, parameters="one"):
        self.experts, self.top_k, self.k, self.n, self.kind, self.transposed, self.own = experts, top_k, k, n, kind, transposed, own
        self.name = "f%d" % len(module.functions)
        self.label = " ".join([self.name, "E%d top %d K%d N%d" % (experts, top_k, k, n), kind, parameters] +
                              [w for w, on in (("bias", bias), ("transposed", transposed), ("own", own)) if on])
        values = random.standard_normal((experts, n, k) if transposed else (experts, k, n)).astype(np.float32)
        self.weight = safetensors.round_to(values, kind)
        weights = []

        def parameter(role, array, kind):
            weights.append("%s_%s" % (self.name, role))
            module.weight(weights[-1], array, kind)
            return "%" + weights[-1]

        def join(name, parts, arrays, kind, dim, op="concat_parameters"):
            """The op's text; the result's shape is `arrays` joined."""
            joined = np.stack(arrays) if op == "stack_parameters" else np.concatenate(arrays, dim)
            note = "" if op == "stack_parameters" else " dim %d" % dim
            return "%%%s = attn.%s %s%s : (%s) -> %s\n" % (
                name, op, ", ".join(parts), note, ", ".join(tensor(a.shape, kind) for a in arrays), tensor(joined.shape, kind))

        def given(role, array, kind, dim):
            """One operand of all experts; `dim` of the columns."""
            text, cut = "", [n // 3]
            if parameters == "one":
                return parameter(role, array, kind), text
            if parameters == "halves":
                halves = np.split(array, cut, axis=dim)
                return "%" + role, join(role, [parameter("%s_%d" % (role, i), h, kind) for i, h in enumerate(halves)], halves, kind, dim)
            parts = []
            for expert, own in enumerate(array):
                if parameters == "stacked":
                    parts.append(parameter("%s%d" % (role, expert), own, kind))
                    continue
                halves = np.split(own, cut, axis=dim - 1)
                names = [parameter("%s%d_%d" % (role, expert, i), h, kind) for i, h in enumerate(halves)]
                parts.append("%%%s%d" % (role, expert))
                text += join("%s%d" % (role, expert), names, halves, kind, dim - 1)
            return "%" + role, text + join(role, parts, list(array), kind, 0, "stack_parameters")

        weight, body = given("w", values, kind, 1 if transposed else 2)
        self.bias = random.standard_normal((experts, n)).astype(np.float32) if bias else None
        types = [X(*([top_k] * own + [k])), tensor(values.shape, kind)]
        operand = ""
        if bias:
            vectors = "bf16" if kind == "bf16" else "f32"
            operand, text = given("b", self.bias, vectors, 1)
            operand, body = " bias " + operand, body + text
            types.append(tensor(self.bias.shape, vectors))
            self.bias = safetensors.round_to(self.bias, vectors)
        types.append(X(top_k, kind="i64"))
        body += "%%y = attn.expert_linear %%x, %s%s experts %%e%s : (%s) -> %s" % (
            weight, operand, " {transpose_weight}" * transposed, ", ".join(types), X(top_k, n))
        module.entry(self.name, [("x", types[0], ["batch", "seq"]), ("e", types[-1], ["batch", "seq"])],
                     [("y", X(top_k, n), "%y")], body, {"seq": (0, 65536)}, weights)

    def inputs(self, batch, seq, chosen=None):
        """`chosen`: experts that are chosen at all."""
        chosen = np.arange(self.experts) if chosen is None else np.asarray(chosen)
        return {"x": random.standard_normal((batch, seq) + (self.top_k,) * self.own + (self.k,)).astype(np.float32),
                "e": chosen[random.integers(0, len(chosen), (batch, seq, self.top_k))].astype(np.int64)}

    def check(self, model, given, label):
        got = model.run(self.name, given)["y"]
        expected = expert_linear(given["x"], self.weight, given["e"], self.bias, self.transposed)
        report.close("%s %s %s %s" % (model.variant, self.label, given["e"].shape, label), got, expected, tolerance(self.k), floor=0.02)
        return got


module, cases = Module(), []
SHAPES = [(1, 1), (7, 13), (16, 16), (33, 65), (64, 100), (129, 48)]
for number_, (experts, top_k) in enumerate([(1, 1), (3, 1), (3, 2), (8, 2), (8, 3), (8, 4)]):
    k, n = SHAPES[number_]
    for kind in ("f32", "bf16", "f16"):
        cases.append(Case(module, experts, top_k, k, n, kind, bias=bool(random.integers(2)), transposed=bool(random.integers(2)),
                          own=bool(random.integers(2))))
for kind in ("f32", "bf16", "f16"):
    for transposed in (False, True):
        cases.append(Case(module, 3, 2, 19, 37, kind, True, transposed, parameters="stacked"))
        cases.append(Case(module, 4, 2, 21, 45, kind, not transposed, transposed, True, parameters="joined"))
        cases.append(Case(module, 3, 1, 18, 51, kind, True, transposed, parameters="halves"))
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in cases:
            for batch, seq in ((1, 1), (1, 2), (2, 17), (1, 131), (3, 0)):
                given = case.inputs(batch, seq)
                together = case.check(model, given, "mixed")
                for row in {0, seq // 2, seq - 1} if seq > 1 else ():
                    alone = {n: x[batch - 1 :, row : row + 1] for n, x in given.items()}
                    report.equal("%s %s token %d alone" % (variant, case.label, row), model.run(case.name, alone)["y"],
                                 together[batch - 1 :, row : row + 1])
            case.check(model, case.inputs(1, 67, [case.experts - 1]), "all to one")
            case.check(model, case.inputs(1, 67, [0, case.experts // 2]), "some never")
            for bad in (-1, case.experts, 1 << 40, -(1 << 63)):
                given = case.inputs(1, 5)
                given["e"][0, 3, -1] = bad
                report.status("%s %s expert %d" % (variant, case.label, bad), RANGE, model.run, case.name, given,
                              saying="expert_linear: expected experts in [0, %d)" % case.experts)
    with Model(path, variant) as plain:
        for schedule, workers in (("shuffle", 4), ("threads", 2), ("threads", 5)):
            with Model(path, variant, workers=workers, schedule=schedule) as model:
                for case in cases[::3]:
                    given = case.inputs(2, 65)
                    report.equal("%s %s %s" % (variant, case.label, schedule), model.run(case.name, given)["y"],
                                 plain.run(case.name, given)["y"])

# ---- A whole feed-forward block, called once per layer with its parameters ----------------------------------------

EXPERTS, TOP, D, INNER = 5, 2, 24, 20
PARAMETERS = {"router": (1.0, (D, EXPERTS), "f32"), "up": (0.2, (EXPERTS, 2 * INNER, D), "bf16"),
              "up_bias": (1.0, (EXPERTS, 2 * INNER), "bf16"), "down": (0.2, (EXPERTS, INNER, D), "f32")}
TYPES = {name: tensor(shape, kind) for name, (_, shape, kind) in PARAMETERS.items()}
TYPES.update(x=X(D), logits=X(EXPERTS), weights=X(TOP), experts=X(TOP, kind="i64"), wide=X(TOP, 2 * INNER), inner=X(TOP, INNER), out=X(TOP, D))


def typed(text):
    for name, kind in TYPES.items():
        text = text.replace("<%s>" % name, kind)
    return text


module = Module()
module.functions.append(typed("""
func.func private @block(%x: <x>, %router: <router>, %up: <up>, %up_bias: <up_bias>, %down: <down>) -> <x> {
  %logits = attn.linear %x, %router : (<x>, <router>) -> <logits>
  %w, %e = attn.route %logits top_k 2 : (<logits>) -> (<weights>, <experts>)
  %y = attn.expert_linear %x, %up bias %up_bias experts %e {transpose_weight} : (<x>, <up>, <up_bias>, <experts>) -> <wide>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batch = tensor.dim %y, %c0 : <wide>
  %seq = tensor.dim %y, %c1 : <wide>
  %gate = tensor.extract_slice %y[0, 0, 0, 0] [%batch, %seq, 2, 20] [1, 1, 1, 1] : <wide> to <inner>
  %linear = tensor.extract_slice %y[0, 0, 0, 20] [%batch, %seq, 2, 20] [1, 1, 1, 1] : <wide> to <inner>
  %g = attn.activation silu %gate times %linear : (<inner>, <inner>) -> <inner>
  %z = attn.expert_linear %g, %down experts %e : (<inner>, <down>, <experts>) -> <out>
  %r = attn.combine_experts %z weights %w residual %x : (<out>, <weights>, <x>) -> <x>
  return %r : <x>
}"""))
LAYERS = [{name: module.weight("%s%d" % (name, layer), scale * random.standard_normal(shape).astype(np.float32), kind)
           for name, (scale, shape, kind) in PARAMETERS.items()} for layer in range(2)]
module.entry("forward", [("x", X(D), ["batch", "seq"])], [("y", X(D), "%y")], typed("""
  %h = call @block(%x, %router0, %up0, %up_bias0, %down0) : (<x>, <router>, <up>, <up_bias>, <down>) -> <x>
  %y = call @block(%h, %router1, %up1, %up_bias1, %down1) : (<x>, <router>, <up>, <up_bias>, <down>) -> <x>
"""), weights=list(module.weights))
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for batch, seq in ((1, 1), (2, 7), (3, 67)):
            x = given = random.standard_normal((batch, seq, D)).astype(np.float32)
            for p in LAYERS:
                weights, experts = route(x @ p["router"].astype(np.float64), TOP)
                y = expert_linear(x, p["up"], experts, p["up_bias"], transposed=True)
                y = y[..., :INNER] / (1 + np.exp(-y[..., :INNER])) * y[..., INNER:]
                x = combine_experts(expert_linear(y, p["down"], experts), weights, x)
            got = model.run("forward", {"x": given})["y"]
            report.close("%s block %dx%d" % (variant, batch, seq), got, x, 1e-5)
            report.equal("%s block %dx%d, last token alone" % (variant, batch, seq),
                         model.run("forward", {"x": given[-1:, -1:]})["y"], got[-1:, -1:])
report.finish()
