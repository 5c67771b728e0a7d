# RUN: %python %s
# UNSUPPORTED: asan
# (minutes of numbers, which the release build checks; other tests compile the same forms with the sanitizers)
"""attn.linear: every shape of tile and tail, activations, norms before, bias, residual, weight types."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, number, tensor, tolerance
from reference import reference

SIZES = [1, 2, 3, 7, 8, 13, 16, 17, 31, 33, 64, 65, 129]  # of K, N and M
report = Report("linear")
random = report.random


class Case:
    """One entry: its text and what it computes."""

    def __init__(self, module, k, n, kind="f32", act="none", norm="none", beta=True, bias=False, residual=False,
                 transposed=False, epsilon=1e-5):
        self.k, self.n, self.act, self.norm, self.epsilon, self.transposed = k, n, act, norm, epsilon, transposed
        parts = [kind, act, "norm=" + norm + ("+beta" if beta and norm != "none" else "")]
        parts += [word for word, on in (("bias", bias), ("residual", residual), ("transposed", transposed)) if on]
        self.label = "K=%d N=%d %s" % (k, n, " ".join(p for p in parts if p not in ("none", "norm=none")))
        self.name = "f%d" % len(module.functions)
        self.residual = residual
        # Weights are named after their entry; vectors are f32, or of the weight's type half of the time.
        vector_kind = kind if random.integers(2) else "f32"
        self.parameters, types = {}, [tensor(("?", "?", k))]

        def parameter(role, shape, kind, centre=0.0):
            name = "%s_%s" % (self.name, role)
            self.parameters[role] = module.weight(name, centre + random.standard_normal(shape), kind)
            types.append(tensor(shape, kind))
            return "%" + name

        weight = parameter("weight", (n, k) if transposed else (k, n), kind)
        body = "%%y = attn.linear %s, %s" % ("%x" if norm == "none" else "%n", weight)
        if norm != "none":
            gamma = parameter("gamma", (k,), vector_kind, 1.0)
            operands = ", ".join(["%x", gamma] + ([parameter("beta", (k,), vector_kind)] if beta else []))
            note = " {epsilon = %s}" % number(epsilon) if epsilon != 1e-5 else ""
            signature = ", ".join([types[0]] + types[2:])
            body = "%%n = attn.%s_norm %s%s : (%s) -> %s\n    %s" % (norm, operands, note, signature, types[0], body)
            del types[2:]
        body += " bias " + parameter("bias", (n,), vector_kind) if bias else ""
        body += " activation " + act if act != "none" else ""
        arguments = [("x", tensor(("?", "?", k)), ["batch", "seq"])]
        if residual:
            arguments.append(("r", tensor(("?", "?", n)), ["batch", "seq"]))
            body += " residual %r"
            types.append(tensor(("?", "?", n)))
        body += " {transpose_weight}" if transposed else ""
        result = tensor(("?", "?", n))
        body += " : (%s) -> %s" % (", ".join(types), result)
        module.entry(self.name, arguments, [("y", result, "%y")], body, weights=["%s_%s" % (self.name, r) for r in self.parameters])

    def expected(self, x, r, dtype=np.float64):
        p = self.parameters
        return reference.linear(x, p["weight"], p.get("bias"), self.act, r, self.norm, p.get("gamma"), p.get("beta"),
                                self.epsilon, self.transposed, dtype)

    def check(self, model, batch, seq):
        """Against the reference; and the first and last row alone must have the same bits as among the others."""
        x = random.standard_normal((batch, seq, self.k)).astype(np.float32)
        r = random.standard_normal((batch, seq, self.n)).astype(np.float32) if self.residual else None

        def run(rows=slice(None)):
            inputs = {"x": x[:, rows]}
            if self.residual:
                inputs["r"] = r[:, rows]
            return model.run(self.name, inputs)["y"]

        label = "%s %s M=%dx%d" % (model.variant, self.label, batch, seq)
        got = run()
        report.close(label, got, self.expected(x, r), tolerance(self.k))
        if seq > 1:
            for row in (0, seq - 1):
                report.equal(label + " row %d alone" % row, run(slice(row, row + 1)), got[:, row : row + 1])


shapes, cases = Module(), []
for shift in (0, 4, 9):  # every K and every N three times, next to different partners
    for i, k in enumerate(SIZES):
        n = SIZES[(i + shift) % len(SIZES)]
        cases.append(Case(shapes, k, n, ("f32", "bf16", "f16")[int(random.integers(3))], bias=bool(random.integers(2)),
                          residual=bool(random.integers(2)), transposed=bool(random.integers(2))))
path = compile_module(shapes)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in cases:
            for m in SIZES:
                case.check(model, 1, m)
            case.check(model, 3, 5)

features, cases = Module(), []
for act in reference.ACTIVATIONS:
    cases.append(Case(features, 17, 33, act=act, bias=True))
    cases.append(Case(features, 16, 13, "bf16", act=act, norm="layer", residual=True))
for kind in ("f32", "bf16", "f16"):
    for norm in ("layer", "rms"):
        for beta in (False, True):
            cases.append(Case(features, 33, 65, kind, norm=norm, beta=beta, act="gelu_tanh", bias=True, residual=beta))
    for norm in ("none", "layer"):
        cases.append(Case(features, 129, 31, kind, norm=norm, transposed=True, bias=True, epsilon=1e-3))
cases += [Case(features, 1, 1, norm="layer"), Case(features, 1, 17, norm="rms"), Case(features, 700, 40, "bf16", norm="layer")]
path = compile_module(features)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in cases:
            for batch, seq in [(1, 1), (2, 17), (1, 64)]:
                case.check(model, batch, seq)
    # Who works, in which order and when, must not matter.
    with Model(path, variant) as plain:
        for schedule in ("shuffle", "threads"):
            with Model(path, variant, workers=3, schedule=schedule) as model:
                for case in cases[:4] + cases[-4:]:
                    x = random.standard_normal((2, 65, case.k)).astype(np.float32)
                    inputs = {"x": x}
                    if case.residual:
                        inputs["r"] = random.standard_normal((2, 65, case.n)).astype(np.float32)
                    report.equal("%s %s %s" % (variant, case.label, schedule), model.run(case.name, inputs)["y"],
                                 plain.run(case.name, inputs)["y"])
report.finish()
