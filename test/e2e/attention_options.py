# RUN: %python %s
"""The rest of attn.attention's attributes. One that is not lowered yet must be refused by name; those are listed."""
from attention_case import Case
from harness import CompileError, Model, Module, Report, compile_module, each_variant

report = Report("attention options")
CASES = [  # each a module of its own, so that one refusal hides nothing
    dict(causal=True, window_left=5), dict(causal=True, window_left=64), dict(window_left=3, window_right=2),
    dict(window_right=0), dict(causal=True, window_left=4, sinks=2), dict(soft_cap=2.5), dict(soft_cap=30.0, causal=True),
    dict(masked_rows="mean", operands=("key_mask",)), dict(masked_rows="trax", operands=("key_mask",)),
    dict(masked_rows="mean", causal=True, offset=-3), dict(operands=("kv_len",)), dict(operands=("kv_len",), causal=True),
    dict(operands=("kv_len",), masked_rows="mean"), dict(operands=("bias",)), dict(operands=("bias",), bias="i1"),
    dict(operands=("bias",), bias_shape=("seq", "keys"), causal=True), dict(operands=("bias",), bias_shape=(1, "heads", "seq", "keys"), soft_cap=5.0),
]
refused = []
for options in CASES:
    module = Module()
    case = Case(module, 4, 13, kv_heads=2, lse=True, **options)
    try:
        path = compile_module(module)
    except CompileError as error:
        report.expect(case.label, error.not_lowered(), "expected a result or 'not yet lowered', got: %s" % error)
        refused += [case.label] if error.not_lowered() else []
        continue
    for variant in each_variant(path):
        with Model(path, variant) as model:
            for number, seq in enumerate((1, 2, 17, 64, 65, 129, 600)):
                case.check(report, model, case.inputs(report.random, 1 + number % 3, seq, seq))
for label in refused:
    print("not yet lowered: " + label)
report.finish()
