"""attnc_weights.py FILE: w float32 [8, 24] = k + 100 n, as safetensors. attnc_weights.py FILE input|check: x, and y against x @ w."""
import json
import struct
import sys

import numpy as np

w = (np.arange(8)[:, None] + 100.0 * np.arange(24)).astype("<f4")
x = (np.arange(2 * 3 * 8) % 5).astype("<f4").reshape(2, 3, 8)
path, verb = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "weights"
if verb == "weights":
    header = json.dumps({"w": {"dtype": "F32", "shape": [8, 24], "data_offsets": [0, w.nbytes]}}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + w.tobytes())
elif verb == "input":
    np.save(path, x)
else:
    y = np.load(path)
    print("right" if np.array_equal(y, x @ w) else "wrong: %s" % y)
