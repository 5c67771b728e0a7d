# RUN: %python %s
"""examples/transformer_lm: the course's language model. Weights as Trax saves them, the numbers against numpy, greedy decoding
by padding to a power of two and by cache, and attention from parts in place of the fused layer."""
import gzip
import io
import os
import re
import subprocess
import tempfile

import numpy as np

from harness import BUILD, SOURCE, Model, Report, each_variant
from reference import attention, reference, safetensors
from reference.reference import log_softmax, shift_right

report = Report("transformer_lm")
VOCAB, WIDTH, FF, LAYERS, HEADS, LENGTH = 99, 26, 40, 2, 13, 64


def parameters():
    """Random, in Trax's order: layers depth first, weight before bias; the sinusoids are among them."""
    def dense(rows, columns):
        return [report.random.standard_normal((rows, columns)) * rows ** -0.5, report.random.standard_normal(columns) * 0.1]

    def norm():
        return [1 + 0.1 * report.random.standard_normal(WIDTH), 0.1 * report.random.standard_normal(WIDTH)]

    arrays = [report.random.standard_normal((VOCAB, WIDTH)), reference.positional_encoding(np.arange(LENGTH), WIDTH)[None]]
    for _ in range(LAYERS):
        arrays += norm() + 4 * dense(WIDTH, WIDTH) + norm() + dense(WIDTH, FF) + dense(FF, WIDTH)
    return [array.astype(np.float32) for array in arrays + norm() + dense(WIDTH, VOCAB)]


def expected(ids, arrays):
    rest = iter(np.float64(array) for array in arrays)

    def norm(x):
        return reference.layer_norm(x, next(rest), next(rest), 1e-6)

    def dense(x):
        return x @ next(rest) + next(rest)

    x = next(rest)[shift_right(ids)] + next(rest)[0, : ids.shape[1]]
    for _ in range(LAYERS):
        y = norm(x)
        q, k, v = dense(y), dense(y), dense(y)
        x = x + dense(attention.packed(q, k, v, HEADS, causal=True))
        x = x + dense(np.maximum(dense(norm(x)), 0))
    return log_softmax(dense(norm(x)))


def write(path, arrays, save=np.save):
    with gzip.open(path, "wb") as file:
        for array in arrays:
            save(file, array)


def greedy(ids, count, arrays):
    ids = list(ids)
    given = len(ids)
    while len(ids) < given + count:
        token = int(expected(np.array([ids + [0]]), arrays)[0, len(ids)].argmax())
        if token == 1:
            break
        ids.append(token)
    return ids[given:]


# Programs of the documentation are those that the tests run.
def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


programs = read("examples", "transformer_lm", "transformer_lm.cpp") + read("test", "frontend", "built_models.cpp")
blocks = re.findall(r"^```cpp\n(.*?)^```$", read("docs", "build-a-model.md"), re.MULTILINE | re.DOTALL)
report.expect("blocks of docs/build-a-model.md", len(blocks) == 3, str(len(blocks)))
for block in blocks:
    report.expect("a block of docs/build-a-model.md", block in programs, "expected in a program: " + block)

for path in set(re.findall(r"`(test/[^`]*)`", read("docs", "course.md"))):
    report.expect("a test of docs/course.md", os.path.exists(os.path.join(SOURCE, path)), "expected " + path)

with tempfile.TemporaryDirectory() as directory:
    def run(name, *options, length=LENGTH):
        """Compiles and decodes; the lines of tokens by their method."""
        path = os.path.join(directory, name + ".so")
        sizes = ["--vocabulary=%d" % VOCAB, "--width=%d" % WIDTH, "--ff=%d" % FF, "--layers=%d" % LAYERS, "--heads=%d" % HEADS, "--max-length=%d" % length]
        done = subprocess.run([os.path.join(BUILD, "bin", "transformer-lm"), path, *sizes, *options], capture_output=True, text=True)
        lines = dict(line.split(":") for line in done.stdout.splitlines())
        return path, done.stderr, {method: [int(token) for token in tokens.split()] for method, tokens in lines.items()}

    trax = os.path.join(directory, "model.weights.npy.gz")
    arrays = parameters()
    write(trax, arrays)
    for name, options in (("fused", []), ("parts", ["--parts"])):
        path, errors, tokens = run(name, "--trax=" + trax, "--prompt=7,11,13,2,98", "--n=20", *options)
        report.expect(name, not errors, errors)
        wanted = greedy([7, 11, 13, 2, 98], 20, arrays)
        for method, got in tokens.items():
            report.expect("%s %s" % (name, method), got == wanted, "expected %s, got %s" % (wanted, got))
        report.expect(name + " methods", len(tokens) == (1 if options else 2), str(tokens))
        ids = report.random.integers(0, VOCAB, (3, 23))
        for variant in each_variant(path):
            with Model(path, variant) as model:
                report.close("%s %s" % (name, variant), model.run("forward", {"input_ids": ids})["logits"], expected(ids, arrays), 2e-5)

    # What was written can be read, and seeds reproduce.
    _, _, again = run("again", "--weights=" + os.path.join(directory, "fused.safetensors"), "--prompt=7,11,13,2,98", "--n=20")
    report.expect("weights that were written", again["by cache"] == greedy([7, 11, 13, 2, 98], 20, arrays), str(again))
    files = []
    for seed in (1, 1, 2):
        path, _, _ = run("random", "--seed=%d" % seed)
        with open(path.replace(".so", ".safetensors"), "rb") as file:
            files.append(file.read())
    report.expect("seeds", files[0] == files[1] != files[2], "expected equal files for equal seeds")
    sinusoids = safetensors.read(path.replace(".so", ".safetensors"))["Serial.3.PositionalEncoding.weight"]
    report.close("sinusoids", sinusoids, arrays[1][0], 1e-6, floor=1e-3)

    # attn-generate continues the sequence that begins with ShiftRight's 0, and stops where the example does: the end is in the
    # metadata. The bias of the last layer makes every token the end.
    def generate(path, ids, *options):
        return subprocess.run([os.path.join(BUILD, "bin", "attn-generate"), path, "--prompt-ids", " ".join(map(str, [0] + ids)), "--ids", *options],
                              capture_output=True, text=True)

    path, _, tokens = run("random", "--seed=3", "--prompt=7,11", "--n=20")
    done = generate(path, [7, 11], "-n", "20")
    report.expect("attn-generate", done.stdout.split() == list(map(str, tokens["by cache"])), "expected %s, got %s" % (tokens, done))
    ends = [array.copy() for array in arrays]
    ends[-1][1] += 1e4
    ended = os.path.join(directory, "ends.npy.gz")
    write(ended, ends)
    path, _, tokens = run("ends", "--trax=" + ended, "--n=20")
    report.expect("the end", tokens == {"by padding": [], "by cache": []}, str(tokens))
    done = generate(path, [2, 3, 5], "-n", "20", "--json")
    report.expect("attn-generate's end", '"ids":[]' in done.stdout and '"end":"eos"' in done.stdout, str(done))
    done = generate(path, [2, 3, 5], "--no-cache")
    text = "attn-generate: error: %s: entry 'forward' shifts its input to the right (metadata shift_right): expected to run with a cache\n" % path
    report.expect("--no-cache", (done.returncode, done.stderr) == (1, text), str(done))

    # Up to the last place, which is no power of two: the sinusoids bound the tokens.
    path, errors, tokens = run("short", "--seed=4", "--prompt=" + ",".join(map(str, range(2, 18))), "--n=9", length=20)
    report.expect("a short model", not errors and tokens["by padding"] == tokens["by cache"] and 0 < len(tokens["by cache"]) <= 4, errors + str(tokens))

    # Wrong options are refused before anything is written.
    with open(trax, "rb") as file:
        before = file.read()
    one = "expected one of --weights, --trax and --seed"
    for text, options in ((one, ["--weights=" + trax, "--trax=" + trax]), (one, ["--weights=" + trax, "--seed=0"]), (one, ["--trax=" + trax, "--seed=1"]),
                          ("--n: expected at least 1, got -1", ["--n=-1"]), ("--n: expected at least 1, got 0", ["--n=0"]),
                          ("--prompt: expected fewer token ids than --max-length=64, got 64", ["--prompt=" + ",".join(["2"] * LENGTH)])):
        path, errors, tokens = run("refused", *options)
        report.expect(text, errors == "transformer-lm: error: %s\n" % text and not tokens, errors)
        report.expect("nothing is written", not [name for name in os.listdir(directory) if name.startswith("refused")], str(os.listdir(directory)))
    with open(trax, "rb") as file:
        report.expect("the weights that were given", file.read() == before, "they changed")

    # Files that are damaged or of another model leave nothing behind.
    def as_pickle(file, array):
        np.save(file, np.array([array], dtype=object), allow_pickle=True)

    shapes = [list(array.shape) for array in arrays]
    cases = {"array 1 (Serial.3.PositionalEncoding.weight): expected a .npy array, got the end of the file": lambda: write(trax, arrays[:1]),
             "array 0 (Serial.1.Embedding.weight): expected shape [99, 26], got [98, 26]": lambda: write(trax, [arrays[0][:98]] + arrays[1:]),
             "expected %d arrays, got more" % len(arrays): lambda: write(trax, arrays + arrays[:1]),
             "array 0 (Serial.1.Embedding.weight): expected f32 in row-major order, got '{'descr': '<f8'": lambda: write(trax, [np.float64(arrays[0])]),
             "got '{'descr': '<f4', 'fortran_order': True": lambda: write(trax, [np.asfortranarray(arrays[0])]),
             "got '{'descr': '|O'": lambda: write(trax, arrays, as_pickle),
             "expected a .npy array of version 1, got something else": lambda: open(trax, "wb").write(b"no gzip, no array"),
             "expected all its numbers, got the end of the file": lambda: open(trax, "wb").write(gzip.compress(buffer.getvalue()[:3000])),
             "expected a whole header, got the end of the file": lambda: open(trax, "wb").write(gzip.compress(buffer.getvalue()[:30])),
             "expected all its numbers, got damaged or cut gzip data": lambda: open(trax, "wb").write(gzip.compress(buffer.getvalue())[:5000]),
             "expected the end of a gzip file, got damaged or cut gzip data": lambda: open(trax, "wb").write(whole[:-4]),
             "got damaged or cut gzip data": lambda: open(trax, "wb").write(whole[:-8] + bytes(8)),
             "cannot open '%s'" % trax: lambda: os.remove(trax)}
    buffer = io.BytesIO()
    np.save(buffer, arrays[0])
    write(trax, arrays)
    with open(trax, "rb") as file:
        whole = file.read()
    for text, make in cases.items():
        make()
        path, errors, _ = run("bad", "--trax=" + trax)
        report.expect(text, text in errors, errors)
        report.expect("nothing is written", not [name for name in os.listdir(directory) if name.startswith("bad")], str(os.listdir(directory)))
report.finish()
