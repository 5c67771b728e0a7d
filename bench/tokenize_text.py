"""Measures attn-tokenize against the `tokenizers` package, each on one thread.

Text of N MB is made of the example's prompts and summaries (English), and, mixed, of the lines in
test/fixtures/tokenizer/lines.jsonl as well (many scripts, no words that come again). Both read lines and give ids;
loading the tokenizer is not counted. Prints a table in Markdown: MB per second of processor time, the best of several
runs.

    python3 bench/tokenize_text.py --bin build/release/bin [--megabytes 4]      (needs tokenizers 0.23.3)
"""
import argparse
import json
import os
import random
import subprocess

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
FIXTURES = os.path.join(ROOT, "test/fixtures/tokenizer")
KINDS = {"GPT-2 (the example)": os.path.join(ROOT, "examples/summarizer")}
KINDS.update({name: os.path.join(FIXTURES, name) for name in ("llama3", "qwen", "llama2", "wordpiece", "unigram")})


def texts(megabytes):
    with open(os.path.join(ROOT, "examples/summarizer/expected.json"), encoding="utf-8") as file:
        english = [t for item in json.load(file) for t in (item["text"], item["summary"])]
    english = [line for text in english for line in text.split("\n") if line.strip()]
    with open(os.path.join(FIXTURES, "lines.jsonl"), encoding="utf-8") as file:
        lines = [json.loads(line).get("text", "") for line in file]
    lines = [line for line in lines if line and "\n" not in line and "\r" not in line]
    source = random.Random(1)
    # Sentences of words in another order, so that not only whole lines come again.
    words = [word for line in english for word in line.split(" ")]

    def repeat(make):
        result, size = [], 0
        while size < megabytes * 1e6:
            result.append(make())
            size += len(result[-1].encode()) + 1
        return result

    sentence = lambda: " ".join(source.choices(words, k=source.randint(5, 60)))  # noqa: E731
    return {"English": repeat(sentence),
            "mixed": repeat(lambda: source.choice(lines) if source.random() < 0.6 else sentence())}


def cpu_seconds(function, runs):
    """Of this process and the ones it starts; other programs on the machine do not count."""
    best = float("inf")
    for _ in range(runs):
        start = os.times()
        function()
        end = os.times()
        best = min(best, sum(end[:4]) - sum(start[:4]))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True, help="directory with attn-tokenize")
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print("| tokenizer | text | attn-tokenize, MB/s | tokenizers, MB/s | ratio |\n| --- | --- | --- | --- | --- |")
    all_texts = texts(options.megabytes)
    for name, directory in KINDS.items():
        package = Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
        command = [os.path.join(options.bin, "attn-tokenize"), "--tokenizer", directory]
        for kind, lines in all_texts.items():
            data = ("\n".join(lines) + "\n").encode()

            def ours(content):
                return subprocess.run(command, input=content, check=True, capture_output=True).stdout

            ids = [list(map(int, row.split())) for row in ours(data).decode().split("\n")[:-1]]
            different = [i for i, line in enumerate(lines) if package.encode(line).ids != ids[i]]
            assert not different, f"{name}: ids of line {lines[different[0]]!r} differ"
            mine = cpu_seconds(lambda: ours(data), options.runs) - cpu_seconds(lambda: ours(b""), options.runs)

            # Without the offsets of tokens, which cost time; the lists of ids are made, as ours are printed.
            def theirs():
                for encoding in package.encode_batch_fast(lines):
                    encoding.ids

            package_seconds = cpu_seconds(theirs, options.runs)
            size = len(data) / 1e6
            print(f"| {name} | {kind} | {size / mine:.1f} | {size / package_seconds:.1f} | {package_seconds / mine:.1f} |",
                  flush=True)


main()
