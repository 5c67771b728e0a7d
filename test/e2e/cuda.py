"""Kernels of NVIDIA GPUs on the CPU: the emulator of test/cuda, its driver, and an image of each model file's kernels."""
import ctypes
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("ATTN_BUILD_DIR", os.path.join(HERE, "..", "..", "build", "release"))  # as harness.py
PLACE = os.path.join(BUILD, "test", "cuda")
EMULATE, DRIVER = os.path.join(PLACE, "attn-emulate"), os.path.join(PLACE, "libcuda.so.1")


def make_image(attnc, source, flags, directory):
    """The kernels of what attnc compiles from `source`, as kernels.so beside the model file."""
    text = os.path.join(directory, "kernels.mlir")
    subprocess.run([attnc, source, "--emit=nvvm", "-o", text, *flags], check=True)
    subprocess.run([EMULATE, text, "-o", os.path.join(directory, "kernels.so")], check=True)


def prepare(path):
    """Before a model file is opened. If it has an image, that is what the driver runs: it asks when it loads PTX."""
    image = os.path.join(os.path.dirname(path), "kernels.so")
    if os.path.exists(image):
        ctypes.CDLL(DRIVER, mode=ctypes.RTLD_GLOBAL)  # the model file's own dlopen finds it by its name
        os.environ["ATTN_EMULATOR_IMAGES"] = image
