# REQUIRES: cuda-emulator
# UNSUPPORTED: asan
# RUN: %python %s
"""Every call of the driver that a model file makes fails once: a status with the driver's message, and nothing crashes."""
import os
import re
import subprocess
import sys

import numpy as np

import cuda
from harness import BIN, Model, ModelError, Module, Report, compile_module, tensor

RUNS = 5
if sys.argv[1:]:  # a model file whose entry is run again and again: a line for each run
    with Model(sys.argv[1]) as model:
        for i in range(RUNS):
            try:
                x = np.full((3, 8), i, np.float32)
                print("right" if np.array_equal(model.run("twice", {"x": x})["y"], 64 * x) else "wrong")
            except ModelError as error:
                print(error)
    sys.exit()

report = Report("cuda_failures")
X = tensor(("?", 8))
module = Module()
module.weight("w", np.ones((8, 8)))
module.entry("f", [("x", X, ["n"])], [("y", X, "%y")],
             "%%y = attn.linear %%x, %%w : (%s, %s) -> %s" % (X, tensor((8, 8)), X), weights=["w"])
module.entry("twice", [("x", X, ["n"])], [("y", X, "%z")],
             "%%y = attn.linear %%x, %%w : (%s, %s) -> %s\n    %%z = attn.linear %%y, %%w : (%s, %s) -> %s" % (
                 (X, tensor((8, 8)), X) * 2), weights=["w"])
path = compile_module(module, "--target=cuda")
directory = os.path.dirname(path)
x, y = os.path.join(directory, "x.npy"), os.path.join(directory, "y.npy")
np.save(x, np.ones((3, 8), np.float32))


def run(**environment):
    """(exit status, stderr) of attn-run in the emulator."""
    environment = dict(os.environ, LD_LIBRARY_PATH=cuda.PLACE, ATTN_EMULATOR_IMAGES=cuda.images(directory), **environment)
    done = subprocess.run([os.path.join(BIN, "attn-run"), path, "--entry", "f", "--input", "x=" + x, "--output", "y=" + y],
                          env=environment, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


report.expect("no failure", run() == (0, ""), run()[1])
report.equal("no failure, result", np.load(y), np.full((3, 8), 8, np.float32))
for call, text in [("cuInit", "open: cuda: no device"), ("cuDeviceGet", "open: cuda: no such device"),
                   ("cuDeviceGetAttribute", "open: cuda: no capability"),
                   ("cuDevicePrimaryCtxRetain", "open: cuda: no context"), ("cuCtxPushCurrent", "open: cuda: no context"),
                   ("cuModuleLoadData", "open: cuda: the driver does not compile this file's kernels"),
                   ("cuModuleGetFunction", "open: cuda: no kernel"), ("cuStreamCreate", "open: cuda: no stream"),
                   ("cuEventCreate", "open: cuda: no event"),
                   ("cuCtxPushCurrent:2", "linear: cuda: no context"), ("cuMemcpyHtoDAsync", "linear: cuda: copy"),
                   ("cuLaunchKernel", "linear: cuda: launch"), ("cuMemcpyDtoHAsync", "linear: cuda: copy"),
                   ("cuStreamSynchronize", "linear: cuda: the device failed")]:
    status, errors = run(ATTN_EMULATOR_FAIL=call)
    report.expect(call, status == 1 and re.search("^attn-run: error: %s: .+" % re.escape(text), errors, re.M),
                  "expected '%s: …', got %d: %s" % (text, status, errors))
# What nobody uses makes room, and then there is memory.
report.expect("no memory at first", run(ATTN_EMULATOR_FAIL="cuMemAlloc") == (0, ""), "expected success")
status, errors = run(ATTN_EMULATOR_CC="75")
report.expect("an old device", status == 1 and "expected a device of compute capability 8.0 or later, got 7.5" in errors,
              errors)
cuda.emulate(directory, "sm_80")
report.expect("Ampere", run(ATTN_EMULATOR_CC="80") == (0, ""), "expected success")

def run_again(**environment):
    """What each of several runs in one process says."""
    done = subprocess.run([sys.executable, __file__, path], env=dict(os.environ, **environment), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else [done.stderr]


# Launches that come again are a graph; one failure is one run's.
lines = run_again()
report.expect("runs", lines == ["right"] * RUNS, "got %s" % lines)
for call, failing, text in [("cuStreamBeginCapture", 1, "linear: cuda: no graph"),
                            ("cuGraphInstantiateWithFlags", 1, "linear: cuda: no graph"),
                            ("cuGraphLaunch", 1, "linear: cuda: launch"), ("cuGraphLaunch:3", 3, "linear: cuda: launch"),
                            ("cuLaunchKernel:2", 0, "linear: cuda: launch"),
                            ("cuStreamSynchronize", 0, "linear: cuda: the device failed"),
                            ("cuStreamSynchronize:2", 0, "copy_to_host: cuda: the device failed")]:
    lines = run_again(ATTN_EMULATOR_FAIL=call)
    report.expect("runs, " + call, len(lines) == RUNS and text in lines[failing] and
                  lines[:failing] + lines[failing + 1:] == ["right"] * (RUNS - 1), "got %s" % lines)
report.finish()
