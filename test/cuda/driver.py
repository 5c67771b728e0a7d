# RUN: %python %s
"""The emulated driver: what happens late, streams and events, graphs, limits, PTX and images, planted failures."""
import ctypes
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import numpy as np
from emulated import Device, Error, captured, emulate, refused

INVALID_VALUE, OUT_OF_MEMORY, NO_BINARY, INVALID_PTX, NOT_FOUND = 1, 2, 209, 218, 500
INVALID_IMAGE, NOT_READY, OUT_OF_RESOURCES, ILLEGAL_ADDRESS, CAPTURING = 200, 600, 701, 700, 900
device = Device()
reference, size, i32 = ctypes.byref, ctypes.c_size_t, ctypes.c_int


def fails(code, function, *arguments):
    try:
        captured(lambda: device(function, *arguments))
    except Error as error:
        assert error.code == code, "%s: expected %d" % (error, code)
        return
    raise AssertionError("%s succeeded; expected %d" % (function, code))


def handle(function, *arguments):
    result = ctypes.c_void_p()
    device(function, reference(result), *arguments)
    return result


# ---- A kernel that doubles n values ----------------------------------------------------------------------------

DOUBLE = """
gpu.module @kernels TARGET {
  llvm.func @double(%x: !llvm.ptr<1>, %n: i32) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
    %block = nvvm.read.ptx.sreg.ctaid.x : i32
    %size = nvvm.read.ptx.sreg.ntid.x : i32
    %thread = nvvm.read.ptx.sreg.tid.x : i32
    %first = arith.muli %block, %size : i32
    %i = arith.addi %first, %thread : i32
    %inside = arith.cmpi slt, %i, %n : i32
    scf.if %inside {
      %p = llvm.getelementptr %x[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      %v = llvm.load %p : !llvm.ptr<1> -> f32
      %w = arith.addf %v, %v : f32
      llvm.store %w, %p : f32, !llvm.ptr<1>
    }
    llvm.return
  }
}
"""
N = 100
module = device.load(DOUBLE.replace("TARGET", ""))
double = handle("cuModuleGetFunction", module, b"double")
fails(NOT_FOUND, "cuModuleGetFunction", reference(ctypes.c_void_p()), module, b"other")
data = device.alloc(4 * N)
count = ctypes.c_int32(N)
parameters = (ctypes.c_void_p * 2)(ctypes.addressof(data), ctypes.addressof(count))


def launch(stream=None, threads=64, shared=0):
    return (double, 2, 1, 1, threads, 1, 1, shared, stream, parameters, None)


def pinned(values):
    memory = handle("cuMemHostAlloc", size(4 * N), 0)
    array = np.ctypeslib.as_array(ctypes.cast(memory, ctypes.POINTER(ctypes.c_float)), (N,))
    array[:] = values
    return memory, array


ones, values = pinned(1)
got, result = pinned(-1)
stream, other = handle("cuStreamCreate", 1), handle("cuStreamCreate", 1)

# Nothing happens before somebody waits; the kernel's arguments are those of the call.
device("cuMemcpyHtoDAsync_v2", data, ones, size(4 * N), stream)
device("cuLaunchKernel", *launch(stream))
count.value = 0
device("cuMemcpyDtoHAsync_v2", got, data, size(4 * N), stream)
values[:] = 3  # too early: the copy reads it when it happens
assert (result == -1).all()
device("cuStreamSynchronize", stream)
assert (result == 6).all()
count.value = N

# Memory that is not pinned is copied at once.
plain = np.ones(N, np.float32)
device("cuMemcpyHtoDAsync_v2", data, plain.ctypes.data_as(ctypes.c_void_p), size(4 * N), stream)
plain[:] = 7
device("cuMemcpyDtoHAsync_v2", plain.ctypes.data_as(ctypes.c_void_p), data, size(4 * N), stream)
assert (plain == 1).all()

# Two streams without an event: the second one's copy sees what was there before. With one: what the first one computes.
for has_event in [False, True]:
    values[:] = 1
    device("cuMemcpyHtoDAsync_v2", data, ones, size(4 * N), stream)
    device("cuStreamSynchronize", stream)
    device("cuLaunchKernel", *launch(stream))
    event = handle("cuEventCreate", 0)
    device("cuEventRecord", event, stream)
    if has_event:
        device("cuStreamWaitEvent", other, event, 0)
    device("cuMemcpyDtoHAsync_v2", got, data, size(4 * N), other)
    device("cuStreamSynchronize", other)
    assert (result == (2 if has_event else 1)).all()
    device("cuEventSynchronize", event)
    device("cuEventDestroy_v2", event)
# A query makes progress.
device("cuLaunchKernel", *launch(stream))
device("cuLaunchKernel", *launch(stream))
fails(NOT_READY, "cuStreamQuery", stream)
device("cuStreamQuery", stream)

# A graph: recorded once, launched often.
values[:] = 1
device("cuMemcpyHtoD_v2", data, ones, size(4 * N))
device("cuStreamBeginCapture_v2", stream, 0)
device("cuLaunchKernel", *launch(stream))
fails(CAPTURING, "cuStreamSynchronize", stream)
graph = ctypes.c_void_p()
device("cuStreamEndCapture", stream, reference(graph))
executable = handle("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
device("cuGraphDestroy", graph)
for _ in range(3):
    device("cuGraphLaunch", executable, stream)
device("cuStreamSynchronize", stream)
device("cuMemcpyDtoH_v2", got, data, size(4 * N))
assert (result == 8).all()
device("cuGraphExecDestroy", executable)

# Device memory is not the host's.
child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    ctypes.string_at(data.value, 4)
    os._exit(0)
assert os.waitpid(child, 0)[1] != 0

# Limits.
fails(INVALID_VALUE, "cuLaunchKernel", *launch(threads=128))  # more than maxntid
fails(INVALID_VALUE, "cuLaunchKernel", *launch(shared=49 << 10))
device("cuFuncSetAttribute", double, 8, 49 << 10)
device("cuLaunchKernel", *launch(shared=49 << 10))
fails(INVALID_VALUE, "cuFuncSetAttribute", double, 8, 228 << 10)
fails(INVALID_VALUE, "cuMemcpyHtoD_v2", data, ones, size(4 * N + 1))
device("cuCtxSynchronize")
kind = ctypes.c_uint()
device("cuPointerGetAttribute", reference(kind), 2, data)
assert kind.value == 2
fails(INVALID_VALUE, "cuPointerGetAttribute", reference(kind), 2, ctypes.c_uint64(plain.ctypes.data))
fails(OUT_OF_MEMORY, "cuMemAlloc_v2", reference(ctypes.c_uint64()), size(1 << 39))

# PTX: names and target choose the kernels; a log says what is wrong.
PTX = b"""//
.version 8.0
.target %s
.address_size 64
.visible .entry double(
  .param .u64 .ptr .global .align 4 double_param_0,
  .param .u32 double_param_1
)
{ ret; }
"""
log = ctypes.create_string_buffer(200)
options, option_values = (i32 * 2)(5, 6), (ctypes.c_void_p * 2)(ctypes.addressof(log), 200)


def load_ptx(text):
    result = ctypes.c_void_p()
    device("cuModuleLoadDataEx", reference(result), text, 2, options, option_values)
    return result


def refuses(code, text, message):
    try:
        captured(lambda: load_ptx(text))
    except Error as error:
        assert error.code == code and message in log.value.decode(), (error, log.value)
        return
    raise AssertionError("loaded; expected: " + message)


with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
    target = '[#nvvm.target<chip = "sm_90a">]'
    os.environ["ATTN_EMULATOR_IMAGES"] = emulate(DOUBLE.replace("TARGET", ""), first)
    double = handle("cuModuleGetFunction", load_ptx(PTX % b"sm_80"), b"double")
    device("cuLaunchKernel", *launch())
    device("cuCtxSynchronize")
    refuses(INVALID_IMAGE, (PTX % b"sm_80").replace(b"double(", b"triple("), "has kernel 'triple' for sm_80")
    one = (PTX % b"sm_80").replace(b"double_param_0,\n  .param .u32", b"")
    refuses(INVALID_IMAGE, one, "the PTX has 1 parameters, the image 2")
    refuses(INVALID_PTX, b"no PTX at all", "expected PTX")
    os.environ["ATTN_EMULATOR_IMAGES"] = emulate(DOUBLE.replace("TARGET", target), second)
    load_ptx(PTX % b"sm_90a")
    refuses(INVALID_IMAGE, PTX % b"sm_80", "has kernel 'double' for sm_80")
    os.environ["ATTN_EMULATOR_CC"] = "80"
    refuses(NO_BINARY, PTX % b"sm_90a", "PTX for sm_90a does not run on compute capability 8.0")
    del os.environ["ATTN_EMULATOR_CC"]

# Planted failures: of the call that is named, once.
os.environ["ATTN_EMULATOR_FAIL"] = "cuMemAlloc:2"
device("cuMemFree_v2", device.alloc(1))
fails(OUT_OF_MEMORY, "cuMemAlloc_v2", reference(ctypes.c_uint64()), size(1))
device("cuMemFree_v2", device.alloc(1))
os.environ["ATTN_EMULATOR_FAIL"] = "cuLaunchKernel"
fails(OUT_OF_RESOURCES, "cuLaunchKernel", *launch())
del os.environ["ATTN_EMULATOR_FAIL"]

# A kernel that fails: the context answers nothing else until it is reset.
count.value = 1000
device("cuLaunchKernel", *(double, 16) + launch()[2:])
fails(ILLEGAL_ADDRESS, "cuCtxSynchronize")
fails(ILLEGAL_ADDRESS, "cuMemAlloc_v2", reference(ctypes.c_uint64()), size(1))
device.reset()
device.alloc(1)

# What attn-emulate does not know, it names.
for body, message in [
    ('%c = llvm.inline_asm "mov.u32 $0, %%clock;", "=r" : () -> i32', "this inline assembly: mov.u32"),
    ("%c = arith.constant 0 : i32\n%d = nvvm.read.ptx.sreg.gridid : i32", "this form of 'nvvm.read.ptx.sreg.gridid'"),
    ("llvm.call @__nv_expf() : () -> ()", "function '__nv_expf'"),
    ('llvm.call_intrinsic "llvm.nvvm.saturate.f"() : () -> ()', "intrinsic llvm.nvvm.saturate.f"),
    ("gpu.barrier", "'gpu.barrier'"),
]:
    text = refused("llvm.func @__nv_expf()\nllvm.func @k() attributes {nvvm.kernel} {\n%s\nllvm.return\n}" % body)
    assert "the emulator does not know " + message in text, text
