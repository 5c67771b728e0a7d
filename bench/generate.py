"""Measures writing text: BART-base beside PyTorch and CTranslate2, and the example summariser.

    python3 bench/generate.py --build build/release --work build/bench --torch-python T [--write]

T is the interpreter of an environment with torch, transformers and ctranslate2. --write puts the table into docs/performance.md.
Every number is the best of all rounds; loading files is not counted.
"""
import argparse
import json
import os
import random
import re
import subprocess

from common import HERE, SOURCE, cpu_name, peak, put_in_page, run, say, table

BEGIN, END = "<!-- generation: begin -->", "<!-- generation: end -->"
EXAMPLE = os.path.join(SOURCE, "examples", "summarizer")
REPORT = re.compile(r"(\d+) prompt tokens, (?:(\d+) of them read before, )?(\d+) new tokens, first token after ([\d.]+) ms(?:, then ([\d.]+) tokens/s)?")


def generate(options, model, *arguments):
    """Per prompt: tokens, of them read before, new ones, seconds to the first, tokens/s after it."""
    command = [os.path.join(options.build, "bin", "attn-generate"), model, "--ids", "-v", "--threads", str(options.threads), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [(int(a), int(b or 0), int(c), float(d) / 1e3, float(e or 0)) for a, b, c, d, e in REPORT.findall(done.stderr)]


def compiled(options, directory, *flags):
    path = os.path.join(options.work, os.path.basename(directory) + "-generate.so")
    run([os.path.join(options.build, "bin", "attnc"), directory, "-o", path, "--target=native", *flags])
    return path


def words(count, vocab, seed=0):
    source = random.Random(seed)
    return [source.randrange(10, vocab) for _ in range(count)]


def text_of(ids):
    return " ".join(map(str, ids))


def bart(options):
    """Seconds by who and how many beams: 64 tokens from 512."""
    directory = os.path.join(options.work, "bart-base")
    script = os.path.join(HERE, "peers", "bart_generate.py")
    if not os.path.isdir(directory):
        run([options.torch_python, script, "torch", directory, "make"])
    ids, results = words(512, 50000), {}
    model = compiled(options, directory)
    for turn in range(options.rounds):  # in turns
        for peer in ("torch", "ctranslate2"):
            found = json.loads(run([options.torch_python, script, peer, directory, str(options.threads), "2", json.dumps(ids), "1", "4"]).splitlines()[-1])
            for beams, seconds in found.items():
                results[peer, int(beams)] = min(results.get((peer, int(beams)), seconds), seconds)
        for beams in (1, 4):
            for _ in range(3):
                (_, _, new, first, rate), = generate(options, model, "--tokenizer", directory, "--prompt-ids", text_of(ids), "-n", "64",
                                                     "--min-new-tokens", "64", "--beams", str(beams))
                seconds = first + (new - 1) / rate
                results["attnc", beams] = min(results.get(("attnc", beams), seconds), seconds)
        say("BART-base: %s" % results)
    return results


def example(options):
    """The example: seconds to the first token of a text of 200 tokens, tokens/s of one text and of 16, bytes per token."""
    model = compiled(options, EXAMPLE)
    prompts = [words(200, 8000, seed) for seed in range(16)]
    arguments = ["-n", "128", "--min-new-tokens", "128"]
    first, one, many = 1e9, 0, 0
    for _ in range(options.rounds * 3):
        (_, _, _, seconds, rate), = generate(options, model, "--prompt-ids", text_of(prompts[0]), *arguments)
        first, one = min(first, seconds), max(one, rate)
        rates = [row[4] for row in generate(options, model, *(a for ids in prompts for a in ("--prompt-ids", text_of(ids))), *arguments)]
        many = max(many, min(rates) * len(rates))
    embeddings = 512 * 256 * 2  # of positions, of which a step reads one row
    return first, one, many, os.path.getsize(os.path.join(EXAMPLE, "model.safetensors")) - embeddings


def reuse(options):
    """GPT-2 124M: seconds to the first token of 1000 tokens, and of 1000 of which 900 are those of the first text."""
    directory = os.path.join(options.work, "gpt2-12")
    if not os.path.isdir(directory):
        run([os.path.join("/usr/bin/python3"), os.path.join(HERE, "gpt2_random.py"), directory, "--layers", "12"])
    model = compiled(options, directory)
    shared, best = words(900, 50000), [1e9, 1e9]
    for _ in range(options.rounds):
        prompts = [text_of(shared + words(100, 50000, seed)) for seed in (1, 2)]
        rows = generate(options, model, "--prompt-ids", prompts[0], "--prompt-ids", prompts[1], "-n", "8")
        assert rows[1][1] == 900, rows
        best = [min(b, row[3]) for b, row in zip(best, rows)]
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--work", default=os.path.join(SOURCE, "build", "bench"))
    parser.add_argument("--torch-python", required=True, help="interpreter with torch, transformers and ctranslate2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    options.quick = False
    os.makedirs(options.work, exist_ok=True)

    seconds = bart(options)
    first, one, many, per_token = example(options)
    whole, shared = reuse(options)
    limit = max(peak(options, [round(per_token / 1e6)])["read_gbs"] for _ in range(2))

    def row(what, measured, wanted, met):
        return [what, measured, wanted, "yes" if met else "no"]

    rows = []
    for beams, how, peer, goal in ((1, "greedy", "torch", 0.83), (4, "4 beams", "ctranslate2", 0.55)):
        ratio = seconds["attnc", beams] / seconds[peer, beams]
        names = {"torch": "PyTorch", "ctranslate2": "CTranslate2"}
        others = ", ".join("%s %.2f s" % (names[p], seconds[p, beams]) for p in names)
        rows.append(row("BART-base f32, 64 tokens from 512, %s" % how, "%.2f s (%s): %.2f of %s" % (seconds["attnc", beams], others, ratio, names[peer]),
                        "≤ %.2f" % goal, ratio <= goal))
    rows.append(row("the example: first token after 200", "%.1f ms" % (first * 1e3), "≤ 10 ms", first <= 0.010))
    share = one * per_token / 1e9 / limit
    rows.append(row("the example, greedy, one text", "%.0f tokens/s: %.0f %% of reading its %.1f MB (%.1f GB/s)" % (one, share * 100, per_token / 1e6, limit),
                    "≥ 85 %", share >= 0.85))
    rows.append(row("the example, 16 texts at once", "%.0f tokens/s: %.1f times one" % (many, many / one), "≥ 5", many >= 5 * one))
    rows.append(row("GPT-2 124M: first token after 1000, of which 900 were read before", "%.0f ms: %.0f %% of all 1000 (%.0f ms)" % (
        shared * 1e3, shared / whole * 100, whole * 1e3), "≤ 15 %", shared <= 0.15 * whole))
    text = "%s, %d threads; best of %d rounds.\n\n%s" % (cpu_name(), options.threads, options.rounds, table(["", "measured", "wanted", "met"], rows))
    print(text)
    if options.write:
        put_in_page(text, BEGIN, END)


if __name__ == "__main__":
    main()
