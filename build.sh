#!/usr/bin/env bash
# One entry point for users, developers and CI. `./build.sh help` lists what it can do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# What must be installed: package, for which verbs ("all", or "check"), why.
packages='
clang-22              all    C and C++ compiler
lld-22                all    linker
llvm-22-dev           all    LLVM: code generation inside attnc
llvm-22-tools         all    FileCheck, not, lit: the test tools
libmlir-22-dev        all    MLIR: the compiler framework of attnc
mlir-22-tools         all    mlir-tblgen: generates the dialect
liblld-22-dev         all    the linker inside attnc
zlib1g-dev            all    weights in gzip files
libzstd-dev           all    named by LLVM'\''s CMake files
cmake                 all    build system
ninja-build           all    build system
ccache                all    makes repeated builds fast
libpcre2-dev          all    tokenizer: split patterns, Unicode classes
libutf8proc-dev       all    tokenizer: normal forms, classes of characters
libsentencepiece-dev  all    tokenizer: spiece.model, tokenizer.model
nlohmann-json3-dev    all    tokenizer: JSON
libxxhash-dev         all    weights: content hash
libgtest-dev          all    unit tests
python3               all    scripts and tests
python3-pip           all    fetches dlpack.h (in the apache-tvm-ffi wheel) and Halide
python3-numpy         all    scripts and the reference implementation
libclang-rt-22-dev    check  AddressSanitizer and UndefinedBehaviorSanitizer
python3-psutil        check  lit: time limit per test
qemu-user             check  runs the AVX2, AArch64 and unsupported-CPU tests
libc6-dev-arm64-cross     check  runs AArch64 models in qemu: the C library
libgcc-12-dev-arm64-cross check  runs AArch64 models in qemu: start-up files of programs
libc6-dev-riscv64-cross     check  runs RISC-V models in qemu: the C library
libgcc-12-dev-riscv64-cross check  runs RISC-V models in qemu: start-up files of programs
wasi-libc             check  runs WebAssembly models: the C library
libclang-rt-22-dev-wasm32 check  runs WebAssembly models: what clang calls there
nodejs                check  runs WebAssembly models
ocl-icd-libopencl1    check  runs OpenCL models of the Halide backend: the loader
pocl-opencl-icd       check  runs OpenCL models of the Halide backend on the CPU
libvulkan1            check  runs Vulkan models of the Halide backend: the loader
mesa-vulkan-drivers   check  runs Vulkan models of the Halide backend on the CPU
spirv-tools           check  checks their kernels
'

say() { printf '%s\n' "$*" >&2; }
die() { say "build.sh: $*"; exit 1; }

# install_packages VERB: installs what the verb needs and is missing; says what and why first.
install_packages() {
  local name verbs why missing=()
  command -v dpkg-query >/dev/null || die 'this script installs Debian packages; elsewhere see docs/dependencies.md and use cmake --preset release'
  while read -r name verbs why; do
    [[ -n $name && ( $verbs == all || $verbs == "$1" ) ]] || continue
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] && continue
    (( ${#missing[@]} )) || say 'Installing Debian packages that are missing:'
    say "$(printf '  %-27s %s' "$name" "$why")"
    missing+=("$name")
  done <<<"$packages"
  (( ${#missing[@]} )) || return 0
  local root=()
  if (( EUID != 0 )); then
    command -v sudo >/dev/null || die "run this as root, or install sudo, or install yourself: ${missing[*]}"
    root=(sudo)
  fi
  mkdir -p build
  "${root[@]}" apt-get update -qq >build/apt.log 2>&1 ||
    say 'apt-get update failed (see build/apt.log); going on with the lists that are here'
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" \
    >>build/apt.log 2>&1 || {
    tail -n 20 build/apt.log >&2
    die 'apt-get install failed (is this Debian 12 with its security updates enabled?)'
  }
}

# build PRESET: everything into build/PRESET.
build() {
  [[ -f build/$1/build.ninja ]] || cmake --preset "$1" >&2
  local log=build/$1/build.log
  say "Building build/$1 ..."
  if ! ninja -C "build/$1" >"$log" 2>&1; then
    grep -E -A12 'FAILED|error:' "$log" | head -60 >&2 || true
    die "the build failed, see $log"
  fi
}

# run_tests PRESET [LIT ARGUMENT...]: lit over test/, its report in build/PRESET/tests.json.
run_tests() {
  local preset=$1
  shift
  say "Testing build/$preset ..."
  rm -f "build/$preset/tests.json"
  /usr/bin/python3 /usr/lib/llvm-22/bin/lit -s -v --timeout "${ATTN_TEST_TIMEOUT:-900}" --time-tests \
    --output "build/$preset/tests.json" "$@" "build/$preset/test" || true # summary.py decides
}

verb_demo() {
  install_packages demo
  build release
  /usr/bin/python3 examples/demo.py build/release/bin examples/summarizer build/demo
}

# --release-only leaves out the sanitizers; further arguments go to lit (e.g. --filter=text).
verb_check() {
  local reports=(release=build/release/tests.json)
  local presets=(release sanitize)
  if [[ ${1-} == --release-only ]]; then
    presets=(release)
    shift
  else
    reports+=(sanitize=build/sanitize/tests.json)
  fi
  install_packages check
  rm -f build/*/tests.json
  local preset
  for preset in "${presets[@]}"; do
    build "$preset"
    # For a machine with a GPU: docs/gpu.md.
    [[ $preset != release ]] || /usr/bin/python3 test/cuda/Inputs/device_tests.py build/device-tests >build/device-tests.log ||
      die "the tests for a machine with a GPU could not be written: see build/device-tests.log"
    run_tests "$preset" "$@"
  done
  /usr/bin/python3 test/summary.py "${reports[@]}"
}

verb_bench() {
  install_packages bench
  build release
  /usr/bin/python3 bench/run.py "$@"
}

verb_clean() { rm -rf build; }

verb_format() {
  local format=/usr/lib/llvm-22/bin/clang-format
  [[ -x $format ]] || die 'expected clang-format, install the package clang-format-22'
  git ls-files -z -- '*.c' '*.h' '*.cpp' | xargs -0 "$format" -i
}

verb_help() {
  cat <<'END'
usage: ./build.sh VERB

  demo      install what is missing, build, compile the example model, summarise its texts
  check     build, run every test, then again under the sanitizers; --release-only leaves those out,
            further arguments go to lit
  bench     measure this machine and fill the tables of docs/performance.md (bench/run.py --help)
  format    clang-format over our C and C++
  clean     remove build/
  help      this text
END
}

verb=${1:-help}
(( $# )) && shift
case $verb in
  demo | check | bench | clean | format) "verb_$verb" "$@" ;;
  help | -h | --help) verb_help ;;
  *) verb_help >&2; die "unknown verb '$verb'" ;;
esac
