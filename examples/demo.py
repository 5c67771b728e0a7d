"""Compiles the summariser and summarises texts that were held out from its training.

usage: demo.py BIN_DIR MODEL_DIR OUTPUT_DIR [--texts N]
"""
import argparse
import json
import os
import subprocess
import sys
import textwrap
import time


def run(command):
    """Runs a tool; returns its stdout, its stderr and the seconds it took."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seconds = time.perf_counter() - start
    messages = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0:
        sys.exit("%sdemo: %s exited with %d" % (messages, os.path.basename(command[0]), done.returncode))
    return done.stdout.decode("utf-8", "replace"), messages, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir")
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--texts", type=int, help="how many texts to summarise (default: all)")
    options = parser.parse_args()

    os.makedirs(options.output, exist_ok=True)
    compiled = os.path.join(options.output, "summarizer.so")
    command = [os.path.join(options.bin_dir, "attnc"), options.model, "-o", compiled]
    print("$ " + " ".join(command), flush=True)
    _, messages, compile_seconds = run(command)
    print(messages, end="")
    print("compiled in %.2f s, %.1f MB with weights\n" % (compile_seconds, os.path.getsize(compiled) / 1e6))

    with open(os.path.join(options.model, "expected.json"), encoding="utf-8") as file:
        cases = json.load(file)[: options.texts]
    wrong, tokens, total = 0, 0, 0.0
    for case in cases:
        command = [os.path.join(options.bin_dir, "attn-generate"), compiled, "--tokenizer", options.model, "-v"]
        summary, messages, seconds = run(command + ["--prompt", case["text"]])
        summary = summary.strip()
        print("text     " + textwrap.fill(case["text"], 100, subsequent_indent=" " * 9))
        print("summary  " + summary)
        if summary != case["summary"]:
            wrong += 1
            print("EXPECTED " + case["summary"])
        print("speed    " + messages.strip().removeprefix("attn-generate: ") + "\n", flush=True)
        tokens += len(case["greedy_ids"])
        total += seconds
    print("compile time %.2f s; %d summaries in %.2f s: %.0f tokens/s, start-up and reading the text included"
          % (compile_seconds, len(cases), total, tokens / total))
    if wrong:
        sys.exit("demo: %d of %d summaries differ from the expected ones" % (wrong, len(cases)))
    print("%d of %d summaries are as expected" % (len(cases), len(cases)))


if __name__ == "__main__":
    main()
