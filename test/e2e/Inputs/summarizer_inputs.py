"""`write EXAMPLE DIR`: ids, first and next .npy for attn-run; `check EXAMPLE DIR`: compares its logits with expected.npz."""
import os
import sys

import numpy as np

from e2e.harness import relative_error

command, example, directory = sys.argv[1:]
expected = np.load(os.path.join(example, "expected.npz"))
ids, logits = expected["input_ids"].astype(np.int64), expected["logits"]
if command == "write":
    for name, part in (("ids", ids), ("first", ids[:, :-1]), ("next", ids[:, -1:])):
        np.save(os.path.join(directory, name + ".npy"), part)
else:
    got = {name: np.load(os.path.join(directory, name + ".npy")) for name in ("logits", "prefill", "decode")}
    if "halide" in os.environ.get("ATTN_TEST_TARGET", ""):  # whose sums depend on the number of rows
        error = max(relative_error(got["prefill"], logits[:, -2]), relative_error(got["decode"], logits[:, -1]))
    else:
        assert (got["prefill"] == got["logits"][:, -2]).all() and (got["decode"] == got["logits"][:, -1]).all()
        error = 0
    error = max(error, relative_error(got["logits"], logits))
    print("forward, prefill and decode are right" if error < 1e-5 else "wrong", "(relative error %.2g)" % error)
