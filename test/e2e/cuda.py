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
