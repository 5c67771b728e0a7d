# RUN: %python %s
"""attn-embed: sentences against transformers' embeddings (expected.npz) and against runs of one sentence at a time; order,
batches, cutting, output files, and the errors that need a model.
"""
import json
import os
import signal
import subprocess
import tempfile
import time

import numpy as np

from harness import ATTNC, BIN, SOURCE, Model, Report, compile_module

FIXTURES = os.path.join(SOURCE, "test", "fixtures", "models")
SENTENCE = os.path.join(FIXTURES, "bert", "sentence")
EMBED = os.path.join(BIN, "attn-embed")
VOCAB, WIDTH, MOST = 61, 27, 48
report = Report("sentences")
rng = report.random
scratch = tempfile.TemporaryDirectory()


def place(*names):
    return os.path.join(scratch.name, *names)


def write(name, content):
    os.makedirs(os.path.dirname(place(name)), exist_ok=True)
    with open(place(name), "w", encoding="utf-8", newline="") as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    return os.path.dirname(place(name))


def embed(lines, *options, model=None, tokenizer=SENTENCE, status=0):
    """(standard output, standard error); lines: a list, or the bytes of the input."""
    given = lines if isinstance(lines, bytes) else "".join(line + "\n" for line in lines).encode()
    done = subprocess.run([EMBED, model or compiled, "--tokenizer", tokenizer, *options], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    errors = done.stderr.decode()
    report.expect("exit status of %s" % (options,), done.returncode == status, "expected %d, got %d: %s" % (status, done.returncode, errors))
    return done.stdout, errors


def vectors(lines, *options, **more):
    output = place("vectors.npy")
    embed(lines, "-o", output, *options, **more)
    return np.load(output)


def expect_error(label, text, lines, *options, **more):
    _, errors = embed(lines, "-o", place("error.npy"), *options, status=1, **more)
    report.expect(label, errors == "attn-embed: error: %s\n" % text, "expected %r, got %r" % (text, errors))
    report.expect(label + ": no file", not os.path.exists(place("error.npy")), "the output is there")


def tokenizer_of(vocab, special=True):
    """A WordPiece of whole words, with [CLS] and [SEP] around a sentence or nothing."""
    tokenizer = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
                 "model": {"type": "WordPiece", "unk_token": vocab[0], "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                           "vocab": {token: index for index, token in enumerate(vocab)}}}
    if special:
        tokenizer["post_processor"] = {"type": "BertProcessing", "cls": [vocab[2], 2], "sep": [vocab[3], 3]}
    return tokenizer


WORDS = ["w%d" % index for index in range(VOCAB)]
compiled = compile_module(SENTENCE)
words = write("words/tokenizer.json", tokenizer_of(WORDS))
bare = write("bare/tokenizer.json", tokenizer_of(WORDS, special=False))


def random_sentences(count, longest):
    return [" ".join(WORDS[i] for i in rng.integers(0, VOCAB, rng.integers(0, longest + 1))) for _ in range(count)]


def reference(lines, special=True):
    """One sentence at a time, without padding."""
    result = []
    with Model(compiled) as model:
        for line in lines:
            ids = [WORDS.index(word) for word in line.split()]
            ids = np.array([[2, *ids, 3] if special else ids], np.int64)
            result.append(model.run("forward", {"input_ids": ids})["sentence_embedding"][0])
    return np.array(result)


# What transformers made of the same tokens: rows that are whole or padded on the right.
lines, wanted = [], []
with np.load(os.path.join(SENTENCE, "expected.npz")) as file:
    runs = {int(key.split(".")[0]) for key in file}
    for run in sorted(runs):
        if any("%d.in.%s" % (run, name) in file for name in ("position_ids", "token_type_ids")):
            continue
        ids = file["%d.in.input_ids" % run]
        mask = file["%d.in.attention_mask" % run] if "%d.in.attention_mask" % run in file else np.ones_like(ids)
        for row, visible, vector in zip(ids, mask, file["%d.out.sentence_embedding" % run]):
            if (np.diff(visible) <= 0).all():
                lines.append(" ".join(WORDS[i] for i in row[visible != 0]))
                wanted.append(vector)
report.close("transformers", vectors(lines, tokenizer=bare), np.array(wanted), 1e-5)
print("%d sentences of expected.npz" % len(lines))

# Order and bits, whatever shares a run; threads; JSON.
lines = random_sentences(60, 70) + [""] + random_sentences(1, 128)
wanted = reference(lines)
for flags in ([], ["--batch", "1"], ["--batch", "64"], ["--batch", "100000"], ["--threads", "1"], ["--threads", "3", "--batch", "300"]):
    report.equal("one at a time, %s" % flags, vectors(lines, *flags, tokenizer=words), wanted)
order = rng.permutation(len(lines))
report.equal("another order", vectors([lines[i] for i in order], tokenizer=words), wanted[order])
out, errors = embed(lines, "--json", tokenizer=words)
rows = [json.loads(line) for line in out.decode().splitlines()]
report.expect("numbers", [row["sentence"] for row in rows] == list(range(len(lines))), "got %s" % [row["sentence"] for row in rows])
report.equal("json", np.array([row["embedding"] for row in rows], np.float32), wanted)
report.expect("summary", errors.startswith("attn-embed: %d sentences in " % len(lines)) and errors.count("\n") == 1, "got %r" % errors)
vectors(lines, tokenizer=words)
with open(place("vectors.npy"), "rb") as file:
    report.expect("npy on standard output", embed(lines, "-o", "-", tokenizer=words)[0] == file.read(), "other bytes")

# One line, no line, empty lines, ends of lines, a sentence without tokens.
report.equal("one line without an end", vectors(lines[0].encode(), tokenizer=words), wanted[:1])
report.equal("line ends", vectors((lines[0] + "\r\n" + lines[1] + "\r\n").encode(), tokenizer=words), wanted[:2])
empty = vectors(b"")
report.expect("no input", empty.shape == (0, WIDTH) and empty.dtype == np.float32, "got %s of %s" % (empty.shape, empty.dtype))
report.expect("no input as json", embed(b"", "--json")[0] == b"", "expected nothing")
report.equal("empty lines", vectors(b"\n\n", tokenizer=words), reference(["", ""]))
nothing = vectors(["", "w5"], tokenizer=bare)
report.equal("no tokens", nothing[0], np.zeros(WIDTH, np.float32))
report.equal("beside no tokens", nothing[1:], reference(["w5"], special=False))
with open(place("lines.txt"), "w", encoding="utf-8") as file:
    file.write("\n".join(lines))
report.equal("--input", vectors(b"ignored", "--input", place("lines.txt"), tokenizer=words), wanted)

# The fixture's own tokenizer, and cutting.
short, long = "a short one", "it is a very long sentence that goes on and on and on, until it is cut."
both = vectors([short, long])
report.equal("alone", vectors([long]), both[1:])
_, errors = embed([short, long, long], "-o", place("cut.npy"))
report.expect("how many are cut", "attn-embed: 2 sentences were cut after %d tokens\n" % MOST in errors, "got %r" % errors)
letters = long.replace(" ", "")
report.equal("the end is cut", vectors([letters[: MOST - 2] + "zzz"]), vectors([letters[: MOST - 2]]))
sentence = " ".join(WORDS[4:34])
report.equal("--max-seq-length", vectors([sentence], "--max-seq-length", "12", tokenizer=words), reference([" ".join(WORDS[4:14])]))
report.equal("what the model takes", vectors([" ".join(["w9"] * 500)], tokenizer=words), reference([" ".join(["w9"] * 128)]))
expect_error("--no-truncate", "line 2: expected at most 48 tokens (--max-seq-length, max_seq_length, or what the model takes)",
             [short, long], "--no-truncate")
expect_error("no room", "line 1: 2 tokens leave no room for the text", [short], "--max-seq-length", "2")

# Prompts, beside the model, in a folder.
prompted = write("prompted/tokenizer.json", tokenizer_of(WORDS))
write("prompted/config_sentence_transformers.json", {"prompts": {"query": "w7 ", "passage": ""}, "default_prompt_name": "query"})
report.equal("default prompt", vectors(["w8"], tokenizer=prompted), reference(["w7 w8"]))
report.equal("--prompt-name", vectors(["w8"], "--prompt-name", "passage", tokenizer=prompted), reference(["w8"]))
expect_error("unknown prompt", "--prompt-name: expected the name of a prompt (passage, query), got 'x'", ["w8"], "--prompt-name", "x",
             tokenizer=prompted)
os.symlink(compiled, place("prompted", "model.so"))
done = subprocess.run([EMBED, "model.so", "--json"], cwd=prompted, input=b"w8\n", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
report.equal("beside the model", np.array(json.loads(done.stdout)["embedding"], np.float32), reference(["w7 w8"])[0])

# Inside the model: settings, prompts, and the tokenizer in a folder of its own.
write("inside/modules.json", [{"path": "0_Transformer"}])
write("inside/0_Transformer/tokenizer.json", tokenizer_of(WORDS))
inside = write("inside/config_sentence_transformers.json", {"prompts": {"query": "w7 "}, "default_prompt_name": "query"})
subprocess.run([ATTNC, SENTENCE, "--target=native", "--tokenizer", inside, "-o", place("model.so")], check=True)
done = subprocess.run([EMBED, "model.so", "--json"], cwd=scratch.name, input=b"w8\n", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
report.equal("inside the model", np.array(json.loads(done.stdout)["embedding"], np.float32), vectors(["w8"], tokenizer=inside)[0])
report.equal("inside another model", vectors(["w8"], tokenizer=place("model.so")), vectors(["w8"], tokenizer=inside))

# Errors.
more = write("more/tokenizer.json", tokenizer_of(WORDS + ["extra"]))
expect_error("more ids than the model", "the tokenizer has ids up to 61, the model's vocabulary 61 tokens: expected the model's own tokenizer", ["w1"], tokenizer=more)
expect_error("invalid UTF-8", "line 2: invalid UTF-8 at byte 1", b"w1\nw\xff\n", tokenizer=words)
report.equal("--replace-invalid", vectors(b"w1\nw\xff\n", "--replace-invalid", tokenizer=words), reference(["w1", "w0"]))
plain = compile_module(os.path.join(FIXTURES, "bert", "f32"))
expect_error("a plain encoder", plain + ": entry 'forward' has no output 'sentence_embedding'; it has: last_hidden_state, pooler_output; "
             "models have it that are compiled from a directory of sentence-transformers (modules.json)", ["w1"], model=plain)
expect_error("no input file", "cannot open '%s': No such file or directory" % place("none.txt"), [], "--input", place("none.txt"))
expect_error("a directory", "cannot read '%s': Is a directory" % scratch.name, [], "--input", scratch.name)
_, errors = embed(["w1"], "-o", place("none", "x.npy"), tokenizer=words, status=1)
report.expect("no output folder", "could not write '%s'" % place("none", "x.npy") in errors, "got %r" % errors)
for flags in (["--json"], ["-o", "-"]):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([EMBED, compiled, "--tokenizer", SENTENCE, *flags], input=b"a\n" * 9, stdout=full, stderr=subprocess.PIPE)
    report.expect("full disk %s" % flags, done.returncode == 1 and b"error: could not write" in done.stderr and b"No space left" in done.stderr,
                  "got %d, %r" % (done.returncode, done.stderr))

# An array that was there stays until the new one is complete; after Ctrl-C there is no part of it.
before = sorted(os.listdir(scratch.name))
for waits in (True, False):  # for input; in a run
    process = subprocess.Popen([EMBED, compiled, "--tokenizer", words, "-o", place("vectors.npy"), "--threads", "1"], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    if waits:
        process.stdin.write(b"w1\n")
        process.stdin.flush()
        time.sleep(0.3)
    else:
        process.stdin.write(("\n".join([" ".join(WORDS * 2)] * 60000)).encode())
        process.stdin.close()
        process.stdin = None
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    report.expect("Ctrl-C", process.returncode == 130 and errors == b"", "got %d, %r" % (process.returncode, errors))
    report.expect("files after Ctrl-C", sorted(os.listdir(scratch.name)) == before, "expected %s, got %s" % (before, sorted(os.listdir(scratch.name))))
scratch.cleanup()
report.finish()
