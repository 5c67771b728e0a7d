# RUN: %python %s
"""Regions that read beyond the tensors that they capture: the run stops, or, on a device, reads the nearest element."""
import os

import numpy as np

import model_file as mf
from attention_case import compiled
from harness import Model, Report, each_variant
from score_regions import REGIONS

report = Report("region ranges")
random = report.random
IS_CUDA = os.environ.get("ATTN_TEST_TARGET") == "cuda"

# Captured reads beyond the tensor stop the run; the message names what was read. (capture, axis, sizes that are too small)
RANGES = [("dense", "dense", 1, 64), ("dense", "dense", 2, 69), ("dense", "dense", 2, 0), ("per key", "by_key", 0, 64), ("per key", "by_key", 0, 0),
          ("per query", "by_query", 0, 1), ("per query", "by_query", 1, 69), ("bf16 per key", "half", 1, 1), ("prefix by hand", "lengths", 0, 1),
          ("documents by hand", "ids", 1, 69), ("documents by hand", "ids", 0, 1), ("block table", "live", 0, 1), ("block table", "live", 1, 1),
          ("key flags", "flags", 1, 64)]
for path, cases in compiled(report, [dict(heads=2, head_dim=8, regions=(name,)) for name in dict.fromkeys(row[0] for row in RANGES)]):
    for variant in each_variant(path):
        with Model(path, variant) as model:
            for case in cases:
                for name, capture, axis, size in RANGES:
                    if REGIONS[name] not in case.regions:
                        continue
                    given = case.inputs(random, 2, 70, 70)
                    label = "%s %s %s of %d along %d" % (variant, case.label, capture, size, axis)
                    short = dict(given, **{capture: np.ascontiguousarray(np.take(given[capture], range(size), axis))})
                    if IS_CUDA:  # a kernel cannot fail: it reads the nearest element
                        case.run(model, short)
                    else:
                        report.status(label, mf.RANGE, case.run, model, short, saying=capture + ": expected the indices of attn.load")
                    # The next run is as if nothing had happened.
                    case.check(report, model, given, " after a failed run")
report.finish()
