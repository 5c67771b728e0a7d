"""The emulated device: kernels written at the NVVM level, run on numpy arrays through libcuda.so.1.

    device = Device()
    add = device.kernel(TEXT, "add")
    add((blocks,), (threads,), [a, b, out, np.int32(n)])   # arrays go to device memory and come back

A kernel that the emulator stops raises Stopped, whose text is the emulator's report. ATTN_TEST_SEED varies inputs and
order.
"""
import ctypes
import os
import platform
import subprocess
import sys
import tempfile

import numpy as np

BUILD = os.environ["ATTN_BUILD_DIR"]
PLACE = os.path.join(BUILD, "test", "cuda")
SEED = int(os.environ.get("ATTN_TEST_SEED", "1"))
os.environ.setdefault("ATTN_EMULATOR_SEED", str(SEED))
LIBRARY = os.path.join(PLACE, "libcuda.so.1")


def preload_sanitizer():
    """A sanitized library wants its runtime to be loaded first: starts this program again with it."""
    with open(LIBRARY, "rb") as file:
        sanitized = b"__asan_init" in file.read()
    if not sanitized or "libclang_rt.asan" in os.environ.get("LD_PRELOAD", ""):
        return
    command = ["clang", "-print-file-name=libclang_rt.asan-%s.so" % platform.machine()]
    runtime = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    environment = dict(os.environ, LD_PRELOAD=runtime,
                       ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    os.execve(sys.executable, [sys.executable] + sys.argv, environment)


class Stopped(Exception):
    pass


class Refused(Exception):
    pass


class Error(Exception):
    """A CUresult other than 0."""

    def __init__(self, function, code):
        super().__init__("%s: %d" % (function, code))
        self.code = code


def bf16_bits(array):
    """To the nearest, as uint16."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def bf16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def captured(function):
    """Calls `function` and returns (its result, what was written to stderr meanwhile)."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            result = function()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        return result, file.read().decode()


def emulate(text, directory):
    """Kernels to the path of their image."""
    source, image = os.path.join(directory, "kernel.mlir"), os.path.join(directory, "image.so")
    with open(source, "w") as file:
        file.write(text)
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    result = subprocess.run([os.path.join(PLACE, "attn-emulate"), source, "-o", image], env=environment,
                            stderr=subprocess.PIPE, text=True)
    if result.returncode:
        raise Refused(result.stderr)
    return image


def refused(text):
    """What attn-emulate says of kernels that it does not accept."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            emulate(text, directory)
        except Refused as refused:
            return str(refused)
    raise AssertionError("attn-emulate accepted the kernels")


class Tensor:
    """An array that a kernel gets as a tensor map by value. box: sizes, innermost first; swizzle: 0, 32, 64 or 128."""

    def __init__(self, array, box, swizzle=128):
        self.array, self.box, self.swizzle = array, box, swizzle

    def encode(self, device, address):
        kinds = {np.dtype(np.uint16): 9, np.dtype(np.float16): 6, np.dtype(np.float32): 7}
        rank, room = self.array.ndim, ctypes.create_string_buffer(128 + 64)
        place = ctypes.addressof(room) + 63 & ~63
        sizes = lambda kind, values: (kind * max(len(values), 1))(*values)
        device("cuTensorMapEncodeTiled", ctypes.c_void_p(place), kinds[self.array.dtype], rank, address,
               sizes(ctypes.c_uint64, self.array.shape[::-1]), sizes(ctypes.c_uint64, self.array.strides[-2::-1]),
               sizes(ctypes.c_uint32, self.box), sizes(ctypes.c_uint32, [1] * rank), 0,
               {0: 0, 32: 1, 64: 2, 128: 3}[self.swizzle], 0, 0)
        return ctypes.create_string_buffer(ctypes.string_at(place, 128), 128)


class Device:
    def __init__(self):
        preload_sanitizer()
        self.cuda = ctypes.CDLL(LIBRARY)
        self("cuInit", 0)
        context = ctypes.c_void_p()
        self("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self("cuCtxSetCurrent", context)
        self.directories = []

    def __call__(self, function, *arguments):
        code = getattr(self.cuda, function)(*arguments)
        if code:
            raise Error(function, code)

    def reset(self):
        """After a kernel was stopped."""
        self("cuDevicePrimaryCtxReset_v2", 0)

    def alloc(self, count):
        address = ctypes.c_uint64()
        self("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(count, 1)))
        return address

    def upload(self, array):
        address = self.alloc(array.nbytes)
        self("cuMemcpyHtoD_v2", address, array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes))
        return address

    def load(self, text):
        directory = tempfile.TemporaryDirectory()
        self.directories.append(directory)
        with open(emulate(text, directory.name), "rb") as file:
            image = file.read()
        module = ctypes.c_void_p()
        self("cuModuleLoadData", ctypes.byref(module), image)
        return module

    def kernel(self, text, name):
        function = ctypes.c_void_p()
        self("cuModuleGetFunction", ctypes.byref(function), self.load(text), name.encode())

        def run(grid, block, arguments, shared=0):
            """arguments: arrays are copied to the device and back; numpy scalars are passed by value."""
            if shared:
                self("cuFuncSetAttribute", function, 8, shared)
            arrays = [a.array if isinstance(a, Tensor) else a if isinstance(a, np.ndarray) else None for a in arguments]
            addresses = [self.upload(a) if a is not None else None for a in arrays]
            values = [
                a.encode(self, address) if isinstance(a, Tensor) else address if address is not None else
                ctypes.create_string_buffer(a.tobytes(), a.nbytes)
                for a, address in zip(arguments, addresses)
            ]
            pointers = (ctypes.c_void_p * max(len(values), 1))(*[ctypes.addressof(v) for v in values])
            three = lambda sizes: (tuple(sizes) + (1, 1))[:3]
            self("cuLaunchKernel", function, *three(grid), *three(block), shared, None, pointers, None)
            code, report = captured(self.cuda.cuCtxSynchronize)
            if code:
                self.reset()
            else:
                for a, address in zip(arrays, addresses):
                    if address is not None:
                        self("cuMemcpyDtoH_v2", a.ctypes.data_as(ctypes.c_void_p), address, ctypes.c_size_t(a.nbytes))
            for address in addresses:
                if address is not None:
                    self("cuMemFree_v2", address)
            if code:
                raise Stopped("%sCUresult %d" % (report, code))

        return run


def expect_stopped(run, *texts):
    """`run` must be stopped by the emulator with a report that has all the texts."""
    try:
        run()
    except Stopped as stopped:
        for text in texts:
            assert text in str(stopped), "expected %r in:\n%s" % (text, stopped)
        return
    raise AssertionError("the emulator reported nothing; expected %r" % (texts,))
