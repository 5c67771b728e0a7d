# RUN: %python %s
"""attn-generate against transformers' `generate` (test/fixtures/generation/tokens.json): greedy and beams, several prompts of
different lengths at once, one after the other, without a cache and with prompt lookup; and the summaries of examples/summarizer.
"""
import json
import os
import subprocess
import tempfile

from harness import BIN, SEED, SOURCE, Report, compile_module

FIXTURES = os.path.join(SOURCE, "test", "fixtures")
SUMMARIZER = os.path.join(SOURCE, "examples", "summarizer")
report = Report("generation")


def generate(model, prompts, directory, *options):
    arguments = [os.path.join(BIN, "attn-generate"), model, "--tokenizer", directory, "--json"] + list(options)
    for prompt in prompts:
        arguments += ["--prompt-ids", " ".join(map(str, prompt))]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    report.expect("exit status", done.returncode == 0, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


with open(os.path.join(FIXTURES, "generation", "tokens.json"), encoding="utf-8") as file:
    cases = json.load(file)
for number, case in enumerate(cases):
    model = compile_module(os.path.join(FIXTURES, case["model"]))
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "generation_config.json"), "w", encoding="utf-8") as file:
            json.dump(case["options"], file)
        # All at once; two sequences at a time; whole sequences for every token; several tokens in a step. The same bits
        # whatever shares a step.
        first = None
        lookup = [["--lookup", "--batch", "1"]] if case["options"].get("num_beams", 1) == 1 else []
        for flags in [[], ["--batch", "2"], ["--no-cache", "--batch", "1"]] + lookup:
            label = "%s %s %s" % (case["model"], case["options"], " ".join(flags))
            results = generate(model, case["prompts"], directory, "--ids", *flags)
            tokens = [result["ids"] for result in results]
            report.expect(label, tokens == case["tokens"], "expected %s, got %s" % (case["tokens"], tokens))
            first = first or results
            report.expect(label + " results as all at once", results == first, "expected %s, got %s" % (first, results))
            for result, score in zip(results, case.get("scores", [])):
                report.expect(label + " score", abs(result["score"] - score) < 1e-3, "expected %g, got %g" % (score, result["score"]))
print("%d cases of transformers' generate" % len(cases))

with open(os.path.join(SUMMARIZER, "expected.json"), encoding="utf-8") as file:
    texts = json.load(file)
model = compile_module(SUMMARIZER)
prompts = [text["prompt_ids"] for text in texts]
for key, text_key, flags in [("greedy_ids", "summary", []), ("greedy_ids", "summary", ["--lookup", "--batch", "1"]),
                             ("beam4_ids", "beam4_summary", ["--beams", "4"])]:
    results = generate(model, prompts, SUMMARIZER, *flags)
    report.expect(key, len(results) == len(texts), "%d results" % len(results))
    for text, result in zip(texts, results):
        report.expect("%s %s" % (text["package"], key), result["ids"] == text[key], "expected %s, got %s" % (text[key], result["ids"]))
        report.expect("%s %s" % (text["package"], text_key), result["text"].strip() == text[text_key].strip(),
                      "expected %r, got %r" % (text[text_key], result["text"]))
# Drawn tokens are the same, too, as the logits' bits are.
drawn = [generate(model, prompts, SUMMARIZER, "--seed", str(SEED), "--temperature", "0.7", "-n", "60", "--batch", "1", *flags) for flags in ([], ["--lookup"])]
report.expect("lookup of drawn tokens, seed %d" % SEED, drawn[0] == drawn[1], "expected %s, got %s" % tuple(drawn))
print("%d summaries, greedy, with lookup and with 4 beams" % len(texts))
report.finish()
