"""Kernels of NVIDIA GPUs on the CPU: the emulator of test/cuda, its driver, and an image of each model file's kernels."""
import ctypes
import glob
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("ATTN_BUILD_DIR", os.path.join(HERE, "..", "..", "build", "release"))  # as harness.py
PLACE = os.path.join(BUILD, "test", "cuda")
CHIP = "sm_90a" if os.environ.get("ATTN_EMULATOR_CC", "90") == "90" else "sm_80"  # the device that is emulated
EMULATE, DRIVER = os.path.join(PLACE, "attn-emulate"), os.path.join(PLACE, "libcuda.so.1")


def make_image(attnc, source, flags, directory):
    """The kernels of what attnc compiles from `source`, beside the model file, for CHIP."""
    subprocess.run([attnc, source, "--emit=nvvm", "-o", os.path.join(directory, "kernels.mlir"), *flags], check=True)
    emulate(directory, CHIP)


def emulate(directory, chip):
    """The kernels for one more kind of device."""
    subprocess.run([EMULATE, os.path.join(directory, "kernels.mlir"), "--chip=" + chip,
                    "-o", os.path.join(directory, chip + ".so")], check=True)


def images(directory):
    """As ATTN_EMULATOR_IMAGES; empty: there are none."""
    return ":".join(glob.glob(os.path.join(directory, "sm_*.so")))


def prepare(path):
    """Before a model file is opened. If it has images, these are what the driver runs: it asks when it loads PTX."""
    if images(os.path.dirname(path)):
        ctypes.CDLL(DRIVER, mode=ctypes.RTLD_GLOBAL)  # the model file's own dlopen finds it by its name
        os.environ["ATTN_EMULATOR_IMAGES"] = images(os.path.dirname(path))


class Device:
    """Memory of the emulated device for tensors of calls (Model.run), and a stream of the caller's. wanted(name): whether the
    tensor's is lent; change(tensor): what else is to be done with it."""

    def __init__(self, wanted=lambda name: True, stream=False, change=lambda tensor: None):
        self.wanted, self.change, self.lent = wanted, change, []
        self.driver = ctypes.CDLL(DRIVER)
        context, self.stream = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.call("cuCtxSetCurrent", context)
        if stream:
            self.call("cuStreamCreate", ctypes.byref(self.stream), 1)

    def call(self, function, *arguments):
        code = getattr(self.driver, function)(*arguments)
        assert code == 0, "%s: %d" % (function, code)

    def lend(self, inputs, outputs):
        """The stream. On a stream inputs arrive late: their copies only begin."""
        for tensor in filter(lambda t: self.wanted(t.memory.name), inputs + outputs):
            size, address, pinned = max(1, tensor.memory.size), ctypes.c_uint64(), ctypes.c_void_p()
            self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
            self.call("cuMemAllocHost_v2", ctypes.byref(pinned), ctypes.c_size_t(size))
            ctypes.memmove(pinned, tensor.memory.address, tensor.memory.size)
            if tensor in inputs:
                self.call("cuMemcpyHtoDAsync_v2", address, pinned, ctypes.c_size_t(size), self.stream)
            if not self.stream:
                self.call("cuCtxSynchronize")
            tensor.dl.data, tensor.dl.device.device_type = address.value, 2
            self.change(tensor)
            self.lent.append((tensor, address, pinned))
        return self.stream

    def fetch(self, outputs):
        """Results in the tensors' own memory; what was lent is free again."""
        if self.stream:
            self.call("cuStreamSynchronize", self.stream)
        for tensor, address, pinned in self.lent:
            if tensor in outputs:
                self.call("cuMemcpyDtoH_v2", ctypes.c_void_p(tensor.memory.address), address,
                          ctypes.c_size_t(tensor.memory.size))
            self.call("cuMemFree_v2", address)
            self.call("cuMemFreeHost", pinned)
        self.lent = []
