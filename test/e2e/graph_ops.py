# RUN: %python %s
"""Graph ops one by one. An op that is not lowered yet must say so; the list of those is printed."""
import numpy as np

from harness import CompileError, Model, Module, Report, compile_module, each_variant, tensor
from reference import reference

report = Report("graph ops")
random = report.random
IDS, X, HEADS = tensor("??", "i64"), tensor(("?", "?", 24)), tensor(("?", 3, "?", 8))
x_argument, p_argument = ("x", X, ["batch", "seq"]), ("p", IDS, ["batch", "seq"])


def features(batch, seq):
    return (random.standard_normal((batch, seq, 24)) * 3).astype(np.float32)


def ids(batch, seq):
    return random.integers(0, 512, (batch, seq))


CASES = {  # name: arguments, result type, body, reference, tolerance (0: the same bits)
    "shift_right": ([x_argument], X, "%y = attn.shift_right %x : ({x}) -> {x}", reference.shift_right, 0),
    "shift_right_ids": ([p_argument], IDS, "%y = attn.shift_right %p : ({ids}) -> {ids}", reference.shift_right, 0),
    "log_softmax": ([x_argument], X, "%y = attn.log_softmax %x : ({x}) -> {x}", reference.log_softmax, 1e-6),
    "argmax": ([x_argument], IDS, "%y = attn.argmax %x : ({x}) -> {ids}", reference.argmax, 0),
    "select_token": ([x_argument], tensor(("?", 24)), "%y = attn.select_token %x : ({x}) -> {one}", reference.select_token, 0),
    "split_heads": ([x_argument], HEADS, "%y = attn.split_heads %x into 3 : ({x}) -> {heads}",
                    lambda x: reference.split_heads(x, 3), 0),
    "split_merge": ([x_argument], X, """%h = attn.split_heads %x into 3 : ({x}) -> {heads}
                    %y = attn.merge_heads %h : ({heads}) -> {x}""", lambda x: x, 0),
    "add": ([x_argument], X, "%y = arith.addf %x, %x : {x}", lambda x: x + x, 0),
}
refused = []
for name, (arguments, result, body, oracle, limit) in CASES.items():
    module = Module()
    body = body.format(ids=IDS, x=X, heads=HEADS, one=tensor(("?", 24)))
    module.entry("f", arguments, [("y", result, "%y")], body)
    try:
        path = compile_module(module)
    except CompileError as error:
        report.expect(name, error.not_lowered(), "expected a result or 'not yet lowered', got: %s" % error)
        refused += [name] if error.not_lowered() else []
        continue
    for variant in each_variant(path):
        with Model(path, variant) as model:
            for batch, seq in [(1, 1), (2, 17), (3, 65)]:
                values = [features(batch, seq) if a is x_argument else ids(batch, seq) for a in arguments]
                if name == "argmax":  # ties: the lowest index
                    values[0] = np.round(values[0])
                got = model.run("f", {a[0]: v for a, v in zip(arguments, values)})["y"]
                expected = oracle(*values)
                label = "%s %s %dx%d" % (variant, name, batch, seq)
                if limit:
                    report.close(label, got, expected, limit)
                else:
                    report.equal(label, got, np.asarray(expected, got.dtype))
if refused:
    print("not yet lowered: %s" % ", ".join(refused))
report.finish()
