"""Every op in its forms, each an entry of one module: what backends.py runs on every backend, and device_tests.py on a device."""
import re

import numpy as np

from harness import SEED, Module, tensor

random = np.random.default_rng(SEED)

X, IDS = tensor(("?", "?", 24)), tensor("??", "i64")
HEADS = tensor(("?", "?", 32))  # 4 heads of 8
x, y, r, ids, mask = [(name, kind, ["batch", "seq"]) for name, kind in
                      (("x", X), ("y", X), ("r", tensor(("?", "?", 40))), ("ids", IDS), ("mask", IDS))]
q, k, v = [(name, HEADS, ["batch", "seq"]) for name in "qkv"]
long = [(name, HEADS, ["batch", "keys"]) for name in "kv"]
optional = ("mask", IDS, ["batch", "seq"], True)
ONE, QKV = tensor(("?", 24)), "(%s, %s, %s" % (HEADS, HEADS, HEADS)
attention = "%o = attn.attention %q, %k, %v{more} {{num_heads = 4 : i64{notes}}} : " + QKV + "{types}) -> " + HEADS


def attend(notes="", more="", types=""):
    return attention.format(notes=notes, more=more, types=types)


module = Module()
for kind in ("f32", "bf16", "f16"):
    module.weight("w_" + kind, random.standard_normal((24, 40)) / 5, kind)
    module.weight("table_" + kind, random.standard_normal((50, 24)), kind)
module.weight("bias", random.standard_normal(40))
module.weight("gamma", 1 + random.standard_normal(24) / 4)
module.weight("beta", random.standard_normal(24))
module.weight("experts", random.standard_normal((3, 24, 40)) / 5)
module.weight("expert_bias", random.standard_normal((3, 40)))
for kind in ("bf16", "f16"):
    module.weight("experts_" + kind, random.standard_normal((3, 24, 40)) / 5, kind)
module.weight("slopes", np.abs(random.standard_normal(4)) / 4)
module.weight("relative", random.standard_normal((32, 4)))

CASES = []  # op, form, entry, arguments


def case(op, arguments, result, body, *weights, form=""):
    """A form of an op; the body computes %o."""
    name = "f%d" % len(CASES)
    CASES.append((op, form, name, arguments))
    module.entry(name, arguments, [("out", result, "%o")], body, {"seq": (1, 512)} if arguments else {}, weights)


def unary(op, text, result=X, arguments=(x,), form=""):
    types = ", ".join(kind for _, kind, *_ in arguments)
    case(op, list(arguments), result, "%%o = attn.%s %s : (%s) -> %s" % (op, text, types, result), form=form)


for kind in ("f32", "bf16", "f16"):
    case("linear", [x], r[1], "%%o = attn.linear %%x, %%w_%s : (%s, %s) -> %s" % (kind, X, tensor((24, 40), kind), r[1]), "w_" + kind, form=kind)
    case("embedding", [ids], X, "%%o = attn.embedding %%ids, %%table_%s : (%s, %s) -> %s" % (kind, IDS, tensor((50, 24), kind), X), "table_" + kind, form=kind)
for act in ("relu", "gelu", "gelu_tanh", "silu"):
    case("linear", [x, r], r[1], "%%o = attn.linear %%x, %%w_f32 bias %%bias activation %s residual %%r : (%s, %s, %s, %s) -> %s" % (
        act, X, tensor((24, 40)), tensor((40,)), r[1], r[1]), "w_f32", "bias", form="bias, %s, residual" % act)
case("layer_norm", [x], X, "%%o = attn.layer_norm %%x, %%gamma, %%beta : (%s, %s, %s) -> %s" % (X, tensor((24,)), tensor((24,)), X), "gamma", "beta")
case("rms_norm", [x], X, "%%o = attn.rms_norm %%x, %%gamma : (%s, %s) -> %s" % (X, tensor((24,)), X), "gamma")
unary("l2_norm", "%x")
for act in ("none relu relu2 relu6 leaky_relu gelu gelu_tanh quick_gelu silu tanh sigmoid mish elu selu softplus hard_sigmoid "
            "hard_swish").split():
    unary("activation", act + " %x", form=act)
unary("activation", "silu %x times %y", arguments=(x, y), form="gate")
unary("scale", "%x by 0.5")
unary("soft_cap", "%x at 3.0")
unary("log_softmax", "%x")
unary("argmax", "%x", IDS)
unary("select_token", "%x", ONE)
unary("shift_right", "%x")
for pool in ("first", "last", "mean", "max", "mean_sqrt", "weighted_mean"):
    unary("pool", pool + " %x", ONE, form=pool)
unary("positions", "%ids", IDS, (ids,))
unary("positions", "%ids {pad = 1 : i64}", IDS, (ids,), form="padding")
unary("positional_encoding", "%ids", X, (ids,))
unary("positional_encoding", "%ids {halves}", X, (ids,), form="halves")
table = tensor(("?", "?", 8))
for form, notes in (("", ""), ("scale", ", scale = 1.5"), ("long", ", long_frequencies = array<f64: 0.5, 0.2, 0.03, 0.004>, long_from = 49"),
                    ("NTK", ", ntk_factor = 2.0, long_from = 40")):
    unary("rotary_table", "%%ids {frequencies = array<f64: 1.0, 0.1, 0.01, 0.001>%s}" % notes, table, (ids,), form=form)
for notes in ("", " {bidirectional, max_distance = 40}"):
    distances = tensor((4, 2 * (40 if notes else 128) + 1))
    case("relative_bias", [], distances, "%%o = attn.relative_bias %%relative%s : (%s) -> %s" % (notes, tensor((32, 4)), distances), "relative",
         form=notes and "bidirectional")
for note in ("", " {interleaved}"):
    unary("rotary", "%q by %t heads 4" + note, HEADS, (q, ("t", table, ["batch", "seq"])), form=note.strip(" {}"))
SPLIT = tensor(("?", 4, "?", 8))
unary("split_heads", "%q into 4", SPLIT, (q,))
unary("merge_heads", "%h", HEADS, (("h", SPLIT, ["batch", "seq"]),))
case("arith (elementwise)", [x, y], X, "%%s = arith.addf %%x, %%y : %s\n%%e = math.exp %%s : %s\n%%o = arith.mulf %%e, %%x : %s" % (X, X, X))
router = tensor(("?", "?", 3))
case("route", [x, ("logits", router, ["batch", "seq"])], tensor(("?", "?", 2, 40)),
     "%%w, %%e = attn.route %%logits top_k 2 : (%s) -> (%s, %s)\n%%o = attn.expert_linear %%x, %%experts experts %%e : (%s, %s, %s) -> %s" % (
         router, tensor(("?", "?", 2)), tensor(("?", "?", 2), "i64"), X, tensor((3, 24, 40)), tensor(("?", "?", 2), "i64"),
         tensor(("?", "?", 2, 40))), "experts")
chosen = "%%w, %%e = attn.route %%logits top_k 2 : (%s) -> (%s, %s)\n" % (router, tensor(("?", "?", 2)), tensor(("?", "?", 2), "i64"))
for kind in ("bf16", "f16"):  # a row of the input for each choice
    own, w3 = tensor(("?", "?", 2, 24)), tensor((3, 24, 40), kind)
    case("expert_linear", [("x", own, ["batch", "seq"]), ("logits", router, ["batch", "seq"])], tensor(("?", "?", 2, 40)),
         chosen + "%%o = attn.expert_linear %%x, %%experts_%s bias %%expert_bias experts %%e : (%s, %s, %s, %s) -> %s" % (
             kind, own, w3, tensor((3, 40)), tensor(("?", "?", 2), "i64"), tensor(("?", "?", 2, 40))), "experts_" + kind, "expert_bias", form=kind)
case("combine_experts", [("z", tensor(("?", "?", 2, 24)), ["batch", "seq"]), ("w", tensor(("?", "?", 2)), ["batch", "seq"])], X,
     "%%o = attn.combine_experts %%z weights %%w : (%s, %s) -> %s" % (tensor(("?", "?", 2, 24)), tensor(("?", "?", 2)), X))

DECAY, BETA, STATE = HEADS, tensor(("?", "?", 4)), tensor(("?", 4, 8, 8))
for rule, operands in (("linear", ()), ("gated", ("decay",)), ("delta", ("beta",)), ("gated_delta", ("decay", "beta", "state"))):
    given = [("decay", DECAY, ["batch", "seq"]), ("beta", BETA, ["batch", "seq"]), ("state", STATE, ["batch"])]
    given = [argument for argument in given if argument[0] in operands]
    # Small numbers: keys of the delta rule would have length 1.
    case("linear_attention", [q, k, v, *given], HEADS, """%%s = attn.scale %%k by 0.125 : (%s) -> %s
        %%o = attn.linear_attention %s %%q, %%s, %%v%s {num_heads = 4 : i64} : %s%s) -> %s""" % (
            HEADS, HEADS, rule, "".join(" %s %%%s" % (name, name) for name in operands), QKV, "".join(", " + kind for _, kind, _ in given),
            HEADS), form=rule)
case("attention", [q, k, v], HEADS, attend())
case("attention", [q, k, v], HEADS, attend(", causal"), form="causal")
case("attention", [q, *long], HEADS, attend(), form="other keys")
case("attention", [q, k, v], HEADS, attend(", causal, window_left = 9 : i64, sinks = 2 : i64"), form="window, sinks")
case("attention", [q, k, v], HEADS, attend(", soft_cap = 2.0 : f64"), form="soft cap")
case("attention", [q, k, v, optional], HEADS, attend(", causal", " key_mask %mask", ", " + IDS), form="key mask")
for kind in ("f32", "i1"):
    bias = tensor(("?", 1, "?", "?"), kind)
    case("attention", [q, k, v, ("b", bias, ["batch", "seq", "seq"])], HEADS, attend("", " bias %b", ", " + bias), form="bias " + kind)
case("attention", [q, ("k", tensor(("?", "?", 16)), ["batch", "seq"]), ("v", tensor(("?", "?", 16)), ["batch", "seq"])], HEADS,
     "%%o = attn.attention %%q, %%k, %%v {causal, num_heads = 4 : i64, num_kv_heads = 2 : i64} : (%s, %s, %s) -> %s" % (
         HEADS, tensor(("?", "?", 16)), tensor(("?", "?", 16)), HEADS), form="grouped queries")
case("attention", [q, k, v], HEADS, attend(", causal", " alibi %slopes", ", " + tensor((4,))), "slopes", form="ALiBi")
case("attention", [q, k, v], HEADS, """%%o = attn.attention %%q, %%k, %%v {num_heads = 4 : i64} score(%%s, %%b, %%h, %%i, %%j) {
       %%d = arith.subi %%j, %%i : i32
       %%f = arith.sitofp %%d : i32 to f32
       %%a = math.absf %%f : f32
       %%c = arith.constant 0.25 : f32
       %%p = arith.mulf %%a, %%c : f32
       %%n = arith.subf %%s, %%p : f32
       attn.yield %%n : f32
     } mask(%%b, %%h, %%i, %%j) {
       %%two = arith.constant 3 : i32
       %%m = arith.remsi %%j, %%two : i32
       %%zero = arith.constant 0 : i32
       %%keep = arith.cmpi ne, %%m, %%zero : i32
       attn.yield %%keep : i1
     } : %s) -> %s""" % (QKV, HEADS), form="score and mask regions")

CACHE = "!attn.cache<2x4x8x8xf32>"
CASES.append(("cache_append", "", "cached", [q, k, v]))
CASES.append(("attention", "cache", "cached", [q, k, v]))
module.entry("cached", [q, k, v, ("cache", CACHE)], [("out", HEADS, "%o")], """%%n = arith.constant 1 : index
    attn.cache_append %%k, %%v to %%cache[%%n] : %s, %s, %s
    %%o = attn.attention %%q cache %%cache[%%n] {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64} : (%s, %s, index) -> %s""" % (
        HEADS, HEADS, CACHE, HEADS, CACHE, HEADS), {"seq": (1, 512)})


def values(random, arguments, batch, seq, keys):
    """Inputs of a call, by name."""
    result = {}
    for name, kind, dims, *_ in arguments:
        sizes = dict(batch=batch, seq=seq, keys=keys)
        named, shape = iter(dims), []
        for size in re.match(r"tensor<((?:[\d?]+x)*)", kind).group(1).split("x")[:-1]:
            shape.append(sizes[next(named)] if size == "?" else int(size))
        if name == "mask":
            result[name] = (random.random(shape) < 0.7).astype(np.int64)
        elif kind.endswith("i64>"):
            result[name] = random.integers(0, 50, shape)
        elif kind.endswith("i1>"):
            result[name] = random.random(shape) < 0.8
        else:
            result[name] = random.standard_normal(shape).astype(np.float32)
    return result
