# REQUIRES: cuda-emulator
# UNSUPPORTED: asan
# RUN: %python %s
"""Tensors of calls in the device's memory, and the caller's stream: the same results as with tensors in the host's."""
import numpy as np

import cuda
from harness import Model, ModelError, Module, Report, compile_module, tensor

report = Report("cuda_tensors")
random = report.random
K = 24
X, IDS = tensor(("?", "?", K)), tensor(("?", "?"), "i64")
module = Module()
module.weight("w", random.standard_normal((K, K)) / 5)
module.weight("table", random.standard_normal((11, K)))
product = "%%%s = attn.linear %%%s, %%w : (" + "%s, %s) -> %s" % (X, tensor((K, K)), X)
module.entry("product", [("x", X, ["b", "s"])], [("y", X, "%y")], product % ("y", "x"), weights=["w"])
# Ids are checked on the host, which therefore gets them.
module.entry("lookup", [("ids", IDS, ["b", "s"], False, True)], [("y", X, "%y")],
             "%%e = attn.embedding %%ids, %%table : (%s, %s) -> %s\n%s" % (IDS, tensor((11, K)), X, product % ("y", "e")),
             weights=["w", "table"])
# What the host computes reads an input and writes an output.
module.entry("host", [("x", X, ["b", "s"])], [("y", X, "%y"), ("z", X, "%z")], """
    %%c0 = arith.constant 0 : index
    %%c1 = arith.constant 1 : index
    %%b = tensor.dim %%x, %%c0 : %s
    %%s = tensor.dim %%x, %%c1 : %s
    %%y = attn.external "negate"(%%x) sizes(%%b, %%s) : (%s) -> %s
    %s""" % (X, X, X, X, product % ("z", "y")), weights=["w"])
x = random.standard_normal((2, 5, K)).astype(np.float32)
ids = random.integers(0, 11, (2, 5))


def negate(source, out):
    out[...] = -source


def refused(device, text):
    try:
        model.run("product", {"x": x}, device=device)
        report.expect(text, False, "expected an error")
    except ModelError as error:
        device.fetch([])
        report.expect(text, text in str(error), "got '%s'" % error)


with Model(compile_module(module, "--target=cuda"), externals={"negate": negate}) as model:
    for entry, inputs in [("product", {"x": x}), ("lookup", {"ids": ids}), ("lookup", {"ids": ids.astype(np.int32)}),
                          ("host", {"x": x})]:
        expected = model.run(entry, inputs)
        for where, wanted in [("inputs", "x ids"), ("results", "y z"), ("all", "x ids y z")]:
            for stream in (False, True):
                for _ in range(3):  # the third is a graph
                    device = cuda.Device(lambda name: name in wanted.split(), stream)
                    for name, got in model.run(entry, inputs, device=device).items():
                        report.equal("%s %s, %s on the device%s" % (entry, name, where, ", stream" * stream), got,
                                     expected[name])

    def elsewhere(change):
        return cuda.Device(lambda name: name == "x", change=change)

    def number(t):
        t.dl.device.device_id = 1

    def host(t):
        t.dl.data = t.memory.address

    refused(elsewhere(number), "x: expected memory of the model's device, got that of device 1")
    refused(elsewhere(host), "x: expected memory that CUDA allocated")
    device = elsewhere(lambda t: setattr(t.dl.device, "device_type", 10))
    refused(device, "x: expected memory of the CPU, got device type 10")
    report.equal("afterwards", model.run("product", {"x": x})["y"], model.run("product", {"x": x}, device=cuda.Device())["y"])
report.finish()
