"""`write DIR`: ids.npy for attn-run; `check DIR`: compares logits.npy with the reference."""
import os
import sys

import numpy as np

from harness import SOURCE, relative_error
from reference import gpt2

command, directory = sys.argv[1:]
ids_file = os.path.join(directory, "ids.npy")
if command == "write":
    np.save(ids_file, np.random.default_rng(1).integers(0, 97, (2, 17)))
else:
    oracle = gpt2.GPT2(os.path.join(SOURCE, "test", "fixtures", "gpt2", "f32"))
    error = relative_error(np.load(os.path.join(directory, "logits.npy")), oracle.forward(np.load(ids_file)))
    print("logits are right" if error < 1e-5 else "wrong", "(relative error %.2g)" % error)
