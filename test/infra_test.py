# RUN: %python %s
"""The test runner's own parts: what it counts must be counted right."""
import contextlib
import io
import json
import os
import sys
import tempfile
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), "/usr/lib/llvm-22/utils/lit"]
import summary
import unit


class Summary(unittest.TestCase):
    def run_summary(self, *codes):
        tests = [{"name": "attn :: t%d" % i, "code": c, "output": "Test requires qemu" if c == "UNSUPPORTED" else ""}
                 for i, c in enumerate(codes)]
        with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()) as out:
            path = os.path.join(directory, "r.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"tests": tests}, file)
            status = summary.main(["release=" + path])
        return status, out.getvalue().splitlines()

    def test_counts(self):
        self.assertEqual(self.run_summary("PASS", "XFAIL", "UNSUPPORTED"),
                         (0, ["skipped: Test requires qemu", "  release: t2", "2 passed, 0 failed, 1 skipped"]))
        self.assertEqual(self.run_summary("PASS", "FAIL"), (1, ["FAILED: release: t1", "1 passed, 1 failed, 0 skipped"]))
        for code in ("TIMEOUT", "UNRESOLVED", "XPASS"):
            self.assertEqual(self.run_summary("PASS", code)[0], 1, code)

    def test_nothing_ran(self):
        self.assertEqual(self.run_summary()[0], 1)
        self.assertEqual(self.run_summary("UNSUPPORTED")[0], 1)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(summary.main(["release=/nonexistent"]), 1)
        self.assertIn("0 passed, 1 failed, 0 skipped", out.getvalue())


class Unit(unittest.TestCase):
    def test_list(self):
        text = "Running main() from gtest_main.cc\nA.\n  One\n  DISABLED_Two\nS/P.\n  Case/0  # GetParam() = 1\nT/0.  # TypeParam = int\n  X\n"
        self.assertEqual(list(unit.parse_list(text)), ["A.One", "S/P.Case/0", "T/0.X"])

    def test_skip_reason(self):
        self.assertEqual(unit.skip_reason("[ RUN      ] A.B\nx.cpp:3: Skipped\nno AVX2\n\n[  SKIPPED ] A.B (0 ms)\n"), "no AVX2")
        self.assertEqual(unit.skip_reason("x.cpp:3: Skipped\n\n[  SKIPPED ] A.B (0 ms)\n"), "no reason given")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
