"""What the end-to-end tests share: writing modules, compiling them, and comparing results.

A test compiles once per (compiler, module, weights, flags); the files lie in build/<preset>/test/e2e-cache.
ATTN_TEST_TARGET=halide:host, or another target, compiles everything for it; cuda: its kernels run in an emulator (cuda.py).
ATTN_TEST_EMULATE=aarch64, or another target, compiles everything for it unless ATTN_TEST_TARGET is given, and runs it in that
architecture's emulator (remote.py).
"""
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("ATTN_SOURCE_DIR", os.path.dirname(os.path.dirname(HERE)))
BUILD = os.environ.get("ATTN_BUILD_DIR", os.path.join(SOURCE, "build", "release"))
sys.path[:0] = [HERE, os.path.join(SOURCE, "test")]

import cuda
import model_file
from model_file import Model, ModelError, State
if os.environ.get("ATTN_TEST_EMULATE"):  # a target: everything is compiled for it and runs in an emulator
    import remote as model_file
    from remote import Model, State
from reference import safetensors

BIN = os.path.join(BUILD, "bin")
ATTNC = os.path.join(BIN, "attnc")
SEED = int(os.environ.get("ATTN_TEST_SEED", "1"))

# ---- Modules ----------------------------------------------------------------------------------------------


class Module:
    """The text of an .mlir module and the weights that it names."""

    def __init__(self):
        self.weights, self.kinds, self.globals, self.functions = {}, {}, [], []

    def weight(self, name, array, kind="f32"):
        """Declares a parameter stored as f32, bf16 or f16; returns its values after rounding, as float32."""
        array = np.asarray(array, np.float32)
        self.weights[name], self.kinds[name] = array, kind
        self.globals.append("ml_program.global private @%s(#ml_program.extern<%s>) : %s" % ((name,) + (tensor(array.shape, kind),) * 2))
        return safetensors.round_to(array, kind)

    def entry(self, name, arguments, results, body, bounds=None, weights=()):
        """A public function.

        arguments: [(name, type, dims of its `?`s, optional=False, int32=False)]; in the body they are %name.
        results: [(name, type, SSA value)]. weights: parameters that the body uses as %name.
        """
        def argument(name, kind, dims=(), optional=False, int32=False):
            notes = ['attn.name = "%s"' % name]
            if dims:
                notes.append("attn.dims = [%s]" % ", ".join('"%s"' % d for d in dims))
            if kind.startswith("!attn.cache"):  # the state: no tensor at the boundary
                return "%%%s: %s" % (name, kind)
            return "%%%s: %s {%s}" % (name, kind, ", ".join(notes + ["attn.optional"] * optional + ["attn.int32"] * int32))

        bound = ", ".join("%s = array<i64: %d, %d>" % (d, low, high) for d, (low, high) in (bounds or {}).items())
        lines = ["func.func @%s(%s) -> (%s)%s {" % (
            name, ", ".join(argument(*a) for a in arguments),
            ", ".join('%s {attn.name = "%s"}' % (kind, label) for label, kind, _ in results),
            " attributes {attn.bounds = {%s}}" % bound if bound else "")]
        for w in weights:
            lines.append("  %%%s = ml_program.global_load_const @%s : %s" % (w, w, tensor(self.weights[w].shape, self.kinds[w])))
        lines += ["  " + line.strip() for line in body.strip().splitlines()]
        lines.append("  return %s : %s" % (", ".join(v for _, _, v in results), ", ".join(k for _, k, _ in results)))
        self.functions.append("\n".join(lines + ["}"]))

    def text(self):
        notes = ' attributes {attn.weights = ["w.safetensors"]}' if self.weights else ""
        return "module%s {\n%s\n}\n" % (notes, "\n".join(self.globals + self.functions))


def tensor(shape, kind="f32"):
    """tensor(("?", 3), "f32") -> "tensor<?x3xf32>"."""
    return "tensor<%s>" % "x".join([str(d) for d in shape] + [kind])


def number(x):
    """A float attribute: MLIR wants a decimal point."""
    return "%.17e : f64" % x


# ---- Compiling --------------------------------------------------------------------------------------------


class CompileError(Exception):
    """attnc refused; the text is its stderr."""

    def not_lowered(self):
        """Whether it refused a legal op or attribute that a later step lowers."""
        return "not yet lowered" in str(self) or "not lowered yet" in str(self)


def compile_module(source, *flags, cache=True):
    """Compiles a Module, .mlir text or a model directory; returns the path of the .so.

    Compiled files are kept by the content of everything that went in, the compiler included; cache=False compiles again.
    """
    if not os.path.exists(ATTNC):
        sys.exit("expected %s; run ./build.sh check, or set ATTN_BUILD_DIR to another build" % ATTNC)
    key, inputs = hashlib.sha256(), {}
    for program in filter(os.path.exists, (ATTNC, os.path.join(BUILD, "lib", "attn-halide.so"))):
        with open(program, "rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest() if hasattr(hashlib, "file_digest") else file.read())
    compiler = key.hexdigest()[:16]
    target = os.environ.get("ATTN_TEST_TARGET") or os.environ.get("ATTN_TEST_EMULATE")
    if target:
        flags = [flag for flag in flags if not flag.startswith("--target=")] + ["--target=" + target]
    if isinstance(source, Module):
        inputs = {n: (a, source.kinds[n]) for n, a in source.weights.items()}
        source = source.text()
    directory = source if os.path.isdir(source) else None
    key.update(repr(flags).encode())
    if "--target=cuda" in flags:
        key.update(cuda.CHIP.encode())
    if directory:
        for name in sorted(glob.glob("**", root_dir=directory, recursive=True)):
            if os.path.isdir(os.path.join(directory, name)):
                continue
            with open(os.path.join(directory, name), "rb") as file:
                key.update(name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
    else:
        key.update(source.encode())
        for name, (array, kind) in inputs.items():
            key.update(("%s %s %s" % (name, kind, array.shape)).encode() + array.tobytes())
    cache_dir = os.path.join(BUILD, "test", "e2e-cache")
    place = os.path.join(cache_dir, compiler, key.hexdigest()[:24])
    result = os.path.join(place, "model.so")
    if cache and os.path.exists(result):
        return result
    for other in os.listdir(cache_dir) if os.path.isdir(cache_dir) else []:
        if other != compiler:  # files of an older compiler are never used again
            shutil.rmtree(os.path.join(cache_dir, other), ignore_errors=True)
    working = "%s.%d" % (place, os.getpid())
    shutil.rmtree(working, ignore_errors=True)
    os.makedirs(working)
    try:
        if not directory:
            safetensors.write(os.path.join(working, "w.safetensors"), {n: a for n, (a, _) in inputs.items()},
                              {n: k for n, (_, k) in inputs.items()})
            with open(os.path.join(working, "model.mlir"), "w", encoding="utf-8") as file:
                file.write(source)
        command = [ATTNC, directory or os.path.join(working, "model.mlir"), "-o", os.path.join(working, "model.so"), *flags]
        start = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise CompileError("%s\nexit %d\n%s" % (" ".join(command), done.returncode, done.stderr.decode()))
        if "--target=cuda" in flags:
            cuda.make_image(ATTNC, command[1], flags, working)
        print("compiled %s in %.2f s" % (os.path.basename(directory) if directory else "%d entries" % source.count("func.func"),
                                        time.perf_counter() - start), flush=True)
        if not cache and os.path.exists(result):  # the caller compares the two
            again = os.path.join(place, "again.so")
            os.replace(os.path.join(working, "model.so"), again)
            return again
        shutil.rmtree(place, ignore_errors=True)
        os.rename(working, place)
    except OSError:
        if not os.path.exists(result):  # a test beside this one was faster
            raise
    finally:
        # What attnc refused stays for a look: the module, not a half-written file.
        if os.path.exists(working) and not isinstance(sys.exc_info()[1], CompileError):
            shutil.rmtree(working, ignore_errors=True)
    return result


def each_variant(path):
    """Yields every variant of a file that this CPU runs, and says which are left out."""
    names, here = model_file.variants(path)
    assert here, "this CPU runs none of %s" % names
    for name in names:
        if name in here:
            yield name
        else:
            print("skipped: variant %s (not on this CPU)" % name)


# ---- Comparing --------------------------------------------------------------------------------------------


def relative_error(got, expected, floor=0.0):
    """‖got - expected‖ / ‖expected‖ in float64; 0 where both are 0. `floor` is the least root mean square of
    `expected` that counts: a result of few elements may be near 0 by cancellation."""
    difference = np.linalg.norm(np.asarray(got, np.float64).ravel() - np.ravel(expected))
    norm = max(np.linalg.norm(np.ravel(expected)), floor * np.size(expected) ** 0.5)
    return difference if norm == 0 else difference / norm


class Report:
    """Counts comparisons, remembers the worst, and fails loudly at the end."""

    def __init__(self, title):
        self.title, self.count, self.failures, self.worst = title, 0, [], (0.0, "")
        self.random = np.random.default_rng(SEED)
        print("%s: seed %d (ATTN_TEST_SEED=%d repeats it)" % (title, SEED, SEED), flush=True)

    def fail(self, label, text):
        self.failures.append(label)
        if len(self.failures) <= 20:
            print("FAILED %s: %s" % (label, text), flush=True)

    def expect(self, label, condition, text):
        self.count += 1
        if not condition:
            self.fail(label, text)

    def equal(self, label, got, expected):
        """Bitwise, NaN included."""
        got, expected = np.ascontiguousarray(got), np.ascontiguousarray(expected)
        self.expect(label, got.shape == expected.shape and got.tobytes() == expected.tobytes(),
                    "expected the same bits; worst difference %s" % worst_place(got, expected))

    def close(self, label, got, expected, limit, naive=None, floor=0.0):
        """Relative error at most `limit`, and at most twice the error of `naive`, the naive f32 result.

        The naive result can be right by luck: errors of four f32 roundings (4.8e-7: the scaled query, the dot product, the exponent, the sum) are never held against ours.
        """
        self.count += 1
        got, expected = np.asarray(got), np.asarray(expected)
        if got.shape != expected.shape:
            return self.fail(label, "expected shape %s, got %s" % (expected.shape, got.shape))
        if (np.isneginf(got) != np.isneginf(expected)).any():
            return self.fail(label, "-inf in other places: %s" % worst_place(np.isneginf(got), np.isneginf(expected)))
        finite = ~np.isneginf(expected)
        got, expected = np.where(finite, got, 0), np.where(finite, expected, 0)
        if not np.isfinite(got).all():
            return self.fail(label, "%d of %d values are not finite" % ((~np.isfinite(got)).sum(), got.size))
        error = relative_error(got, expected, floor)
        if naive is not None:
            limit = min(limit, max(2 * relative_error(np.where(finite, naive, 0), expected, floor), 4.8e-7))
        if error > limit:
            return self.fail(label, "relative error %.3g, allowed %.3g; worst at %s" % (error, limit, worst_place(got, expected)))
        self.worst = max(self.worst, (error / limit if limit else 0.0, label))

    def status(self, label, code, function, *arguments, saying="", **options):
        """A run that must end with a status (None: any but OK) and a message, with the text `saying` in it."""
        self.count += 1
        try:
            function(*arguments, **options)
            self.fail(label, "expected status %s, got a result" % code)
        except ModelError as error:
            if code is not None and error.code != code or saying not in str(error):
                self.fail(label, "expected status %s%s, got %s" % (code, saying and " saying '%s'" % saying, error))

    def finish(self):
        worst = "; closest to its limit: %s at %.0f %%" % (self.worst[1], 100 * self.worst[0]) if self.worst[1] else ""
        print("%s: %d checks, %d failed%s" % (self.title, self.count, len(self.failures), worst))
        sys.exit(1 if self.failures or not self.count else 0)


def worst_place(got, expected):
    """Index and both values where two arrays differ most."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape or not got.size:
        return "shapes %s and %s" % (got.shape, expected.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.nan_to_num(np.abs(got.astype(np.float64) - expected.astype(np.float64)), nan=np.inf)
    at = np.unravel_index(int(difference.argmax()), got.shape)
    return "%s: got %r, expected %r" % (tuple(map(int, at)), got[at].item(), expected[at].item())


def tolerance(keys):
    """semantics.md: f32 attention over `keys` keys; sums shorter than 64 are held to the error of 64."""
    return 2e-6 * (max(keys, 64) / 64) ** 0.5
