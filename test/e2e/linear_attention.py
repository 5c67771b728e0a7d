# RUN: %python %s
"""attn.linear_attention: the four rules, shapes, decays of every strength, states, chunks and single tokens, types."""
import numpy as np

from harness import Model, Module, Report, compile_module, each_variant, number, tensor
from reference import safetensors
from reference.linear_attention import RULES, linear_attention

SEQUENCES = [0, 1, 2, 5, 6, 7, 8, 9, 17, 59, 60, 61, 64, 65, 131]  # around a block and a chunk of each variant
report = Report("linear attention")
random = report.random


class Case:
    """One entry. decay: "head" or "dim"; beta: "head" or "one"; kind: element type of all but the states."""

    def __init__(self, module, rule, heads, dim, kv_heads=None, dim_v=None, rank=3, decay="head", beta="head", state=True,
                 new_state=True, scale=None, kind="f32"):
        self.rule, self.heads, self.kv_heads, self.dim, self.dim_v = rule, heads, kv_heads or heads, dim, dim_v or dim
        self.rank, self.state, self.new_state, self.scale, self.kind = rank, state, new_state, scale, kind
        self.name = "f%d" % len(module.functions)
        self.widths = {"query": (heads, dim), "key": (self.kv_heads, dim), "value": (self.kv_heads, self.dim_v)}
        arguments = [(n, self.features(*w), ["batch", "seq"]) for n, w in self.widths.items()]
        body = "attn.linear_attention %s %%query, %%key, %%value" % rule
        if "gated" in rule:
            self.widths["decay"] = (self.kv_heads, dim if decay == "dim" else 1)
        if "delta" in rule:
            self.widths["beta"] = (self.kv_heads if beta == "head" else 1, 1)
        for name in ("decay", "beta"):
            if name in self.widths:
                arguments.append((name, tensor(("?", "?", int(np.prod(self.widths[name]))), kind), ["batch", "seq"]))
                body += " %s %%%s" % (name, name)
        states = tensor(("?", self.kv_heads, dim, self.dim_v))
        if state:
            arguments.append(("state", states, ["batch"]))
            body += " state %state"
        out = self.features(heads, self.dim_v)
        results = [("out", out, "%y#0"), ("new_state", states, "%y#1")][: 1 + new_state]
        notes = ["num_heads = %d : i64" % heads, "num_kv_heads = %d : i64" % self.kv_heads] * (rank == 3)
        notes += ["scale = " + number(scale)] if scale is not None else []
        body = "%%y:%d = %s {%s} : (%s) -> (%s)" % (len(results), body, ", ".join(notes), ", ".join(a[1] for a in arguments),
                                                  ", ".join(t for _, t, _ in results))
        module.entry(self.name, arguments, results, body, {"seq": (0, 65536)})
        words = [decay + " decay"] * ("gated" in rule) + [kind] * (kind != "f32") + ["no state"] * (not state)
        self.label = "%s H%d/%d D%d/%d rank %d %s" % (rule, heads, self.kv_heads, dim, self.dim_v, rank, " ".join(words))

    def features(self, heads, dim):
        return tensor(("?", "?", heads * dim) if self.rank == 3 else ("?", heads, "?", dim), self.kind)

    def inputs(self, batch, seq, strength=0.3):
        """Packed float32 operands, rounded to the case's type. Decays are -strength·|normal|."""
        given = {n: random.standard_normal((batch, seq, h, d)) for n, (h, d) in self.widths.items()}
        if "delta" in self.rule:
            given["key"] /= np.linalg.norm(given["key"], axis=-1, keepdims=True)
            given["beta"] = 1 / (1 + np.exp(-given["beta"]))
        if "gated" in self.rule:
            given["decay"] = -strength * np.abs(given["decay"])
        given = {n: safetensors.round_to(x.reshape(batch, seq, x.shape[2] * x.shape[3]).astype(np.float32), self.kind) for n, x in given.items()}
        if self.state:
            given["state"] = random.standard_normal((batch, self.kv_heads, self.dim, self.dim_v)).astype(np.float32)
        return given

    def run(self, model, given):
        """Of packed float32 operands; the results likewise."""
        typed = {}
        for name, x in given.items():
            if name in ("query", "key", "value") and self.rank == 4:
                x = x.reshape(x.shape[:2] + self.widths[name]).transpose(0, 2, 1, 3)
            if name != "state":
                x = {"f32": lambda x: x, "f16": lambda x: x.astype(np.float16), "bf16": safetensors.to_bf16}[self.kind](x)
            typed[name] = x
        got = model.run(self.name, typed)
        out = got["out"] if self.kind != "bf16" else safetensors.from_bf16(got["out"])
        if self.rank == 4:
            out = out.transpose(0, 2, 1, 3).reshape(out.shape[0], out.shape[2], self.heads * self.dim_v)
        return dict(got, out=out.astype(np.float32))

    def expected(self, given, dtype=np.float64):
        options = {n: given.get(n) for n in ("decay", "beta", "state")}
        out, state = linear_attention(self.rule, given["query"], given["key"], given["value"], self.heads, self.kv_heads,
                                      scale=self.scale, dtype=dtype, **options)
        return {"out": out, "new_state": state}

    def check(self, model, given, label=""):
        got, expected, naive = self.run(model, given), self.expected(given), self.expected(given, np.float32)
        label = "%s %s B%d S%d%s" % (model.variant, self.label, len(given["query"]), given["query"].shape[1], label)
        for name, value in got.items():
            if name == "out" and self.kind != "f32":  # the one rounding of the result
                rounded = 2.0 ** (-8 if self.kind == "bf16" else -11)
                report.close("%s %s" % (label, name), value, expected[name], rounded, floor=0.02)
            elif self.dim * self.dim_v < 64:  # so few numbers that the naive result is often right by luck
                report.close("%s %s" % (label, name), value, expected[name], 2e-6, floor=0.02)
            else:
                report.close("%s %s" % (label, name), value, expected[name], 2e-5, naive[name], floor=0.02)
        return got


module = Module()
cases = [Case(module, rule, 2, dim, decay=decay) for rule in RULES for dim in (13, 64)
         for decay in (("head", "dim") if "gated" in rule else ("head",))]
for number_, rule in enumerate(RULES):
    cases += [Case(module, rule, 6, 8, kv_heads=2, dim_v=24), Case(module, rule, 1, 80, dim_v=17, decay="dim", beta="one")]
    cases += [[Case(module, rule, 2, 24, dim_v=200, state=False), Case(module, rule, 4, 13, kv_heads=2, dim_v=33, rank=4, decay="dim"),
               Case(module, rule, 2, 32, kind="bf16", decay="dim")],
              [Case(module, rule, 3, 16, new_state=False, scale=1.0), Case(module, rule, 2, 1),
               Case(module, rule, 2, 19, dim_v=21, kind="f16", beta="one")]][number_ in (1, 2)]
# Two layers: the first one's results are no results of the entry.
X, S = tensor(("?", "?", 24)), tensor(("?", 3, 8, 8))
module.entry("layers", [(n, X, ["batch", "seq"]) for n in ("query", "key", "value")], [("out", X, "%b#0"), ("state", S, "%b#1")], """
  %a:2 = attn.linear_attention linear %query, %key, %value {num_heads = 3 : i64} : ({x}, {x}, {x}) -> ({x}, {s})
  %b:2 = attn.linear_attention linear %a#0, %key, %a#0 state %a#1 {num_heads = 3 : i64} : ({x}, {x}, {x}, {s}) -> ({x}, {s})
""".replace("{x}", X).replace("{s}", S))
path = compile_module(module)
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in cases:
            for number_, seq in enumerate(SEQUENCES):
                case.check(model, case.inputs(1 + number_ % 3, seq))
            if "gated" in case.rule:
                # From no decay to one that forgets everything at once, and mixed per token.
                for strength in (0.0, 1e-3, 5.0, 100.0, 1e4):
                    case.check(model, case.inputs(1, 70, strength), " strength %g" % strength)
                given = case.inputs(1, 70)
                given["decay"] = given["decay"] * (10.0 ** random.integers(-2, 4, given["decay"].shape)).astype(np.float32)
                given["decay"] = safetensors.round_to(given["decay"], case.kind)
                case.check(model, given, " mixed strengths")
                given["decay"] = np.where(random.random(given["decay"].shape) < 0.2, -np.inf, given["decay"]).astype(np.float32)
                case.check(model, given, " decay -inf")
        for case in cases[: len(cases) // 2]:
            if case.state and case.new_state:
                # Token by token and in two parts, the state handed on.
                given = case.inputs(2, 70)
                expected = case.expected(given)["out"]
                for parts in ([1] * 9, [37, 33], [3, 64, 1, 2]):
                    state, begin = given["state"], 0
                    for length in parts:
                        part = {n: x[:, begin : begin + length] for n, x in given.items() if n != "state"}
                        got = case.run(model, dict(part, state=state))
                        report.close("%s %s part %d+%d" % (variant, case.label, begin, length), got["out"],
                                     expected[:, begin : begin + length], 2e-5, floor=0.02)
                        state, begin = got["new_state"], begin + length

        given = {n: random.standard_normal((2, 70, 24)).astype(np.float32) for n in ("query", "key", "value")}
        out, state = linear_attention("linear", given["query"], given["key"], given["value"], 3)
        expected = linear_attention("linear", out, given["key"], out, 3, state=state)
        for got, right in zip(model.run("layers", given).values(), expected):
            report.close(variant + " two layers", got, right, 2e-6)

# A token's bits depend on its sequence only, and never on later tokens.
for variant in each_variant(path):
    with Model(path, variant) as model:
        for case in cases[1::3]:
            given = case.inputs(3, 131)
            together = case.run(model, given)
            for row in range(3):
                single = case.run(model, {n: x[row : row + 1] for n, x in given.items()})
                for name in single:
                    report.equal("%s %s row %d %s" % (variant, case.label, row, name), single[name], together[name][row : row + 1])
            poisoned = {n: x.copy() for n, x in given.items()}
            for name in ("query", "key", "value"):
                poisoned[name][:, 66:] = np.nan
            report.equal("%s %s later NaN" % (variant, case.label), case.run(model, poisoned)["out"][:, :66], together["out"][:, :66])
            for schedule, workers in (("shuffle", 4), ("threads", 2), ("threads", 5)):
                with Model(path, variant, workers=workers, schedule=schedule) as other:
                    for name, value in case.run(other, given).items():
                        report.equal("%s %s %s %d %s" % (variant, case.label, schedule, workers, name), value, together[name])
report.finish()
