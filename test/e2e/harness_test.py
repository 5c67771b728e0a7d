# RUN: %python %s %fake_model
# UNSUPPORTED: asan
"""The harness itself, on the runtime's hand-written model file: what it finds it must find."""
import os
import subprocess
import sys
import unittest

import numpy as np

import model_file as mf
from model_file import Guarded, Model, ModelError, State, Tensor

FAKE = sys.argv[1]


class Harness(unittest.TestCase):
    def status(self, code, function, *arguments, **options):
        with self.assertRaises(ModelError) as caught:
            function(*arguments, **options)
        self.assertEqual(caught.exception.code, code, caught.exception.text)

    def dies(self, statement):
        """Whether Python ends with SIGSEGV on a statement."""
        script = "import numpy as np, ctypes, model_file as mf\n" + statement
        done = subprocess.run([sys.executable, "-c", script], cwd=os.path.dirname(os.path.abspath(__file__)),
                              capture_output=True)
        self.assertEqual(done.returncode, -11, done.stderr.decode())

    def test_guard_pages(self):
        for size, align in [(1, 1), (4, 4), (65, 64), (4096, 64), (5000, 64), (0, 4)]:
            memory = Guarded(size, align)
            self.assertEqual(memory.address % align, 0)
            self.assertTrue((memory.bytes == 0xFF).all())
            memory.check()
            memory.free()
        self.dies("m = mf.Guarded(12, 4); ctypes.memset(m.address + 12, 0, 1)")
        self.dies("t = mf.Tensor('x', np.zeros(3, np.float32)); ctypes.memset(t.memory.address, 0, 1)")

    def test_canaries(self):
        for offset, side in [(-1, "before"), (65, "behind")]:
            memory = Guarded(65, 64, name="workspace")
            mf.ctypes.memset(memory.address + offset, 0, 1)
            with self.assertRaisesRegex(AssertionError, "1 bytes written %s workspace" % side):
                memory.check()
            memory.free()

    def test_strides(self):
        whole = np.arange(24, dtype=np.float32).reshape(4, 6)
        for view in (whole, whole[1:3, 2:5], whole[::2, :4], np.broadcast_to(whole[:1], (3, 6)), whole[:, :1]):
            t = Tensor("x", view, strided=True)
            self.assertEqual([4 * s for s in t.strides], list(view.strides))
            self.assertEqual(t.array.tolist(), view.tolist())
            self.assertEqual(t.memory.size, 4 + sum((n - 1) * s for n, s in zip(view.shape, view.strides)))
        self.assertEqual(list(Tensor("x", whole[::2]).strides), [6, 1])  # compact unless asked for
        self.assertEqual(list(Tensor("x", whole[::-1], strided=True).strides), [6, 1])
        self.assertEqual(Tensor("x", whole[:0], strided=True).memory.size, 0)

    def test_results(self):
        for schedule, workers in [("serial", 1), ("shuffle", 3), ("threads", 2)]:
            with Model(FAKE, workers=workers, schedule=schedule) as model:
                x = np.array([1, 2.5], np.float32)
                self.assertEqual(model.run("scale", {"x": x})["y"].tolist(), [2, 5])
                ids = np.array([[3, 4], [5, 15]], np.int64)
                self.assertEqual(model.run("forward", {"input_ids": ids})["logits"].argmax(-1).tolist(), [[4, 5], [6, 0]])
                mask = np.array([[1, 0], [1, 1]], np.int64)
                got = model.run("forward", {"input_ids": ids, "attention_mask": mask})["logits"]
                self.assertEqual(got.sum(-1).tolist(), [[1, 0], [1, 1]])

    def test_errors(self):
        with Model(FAKE) as model:
            ids = np.array([[3]], np.int64)
            self.status(mf.RANGE, model.run, "forward", {"input_ids": ids + 16})
            self.status(mf.DTYPE, model.run, "forward", {"input_ids": ids.astype(np.int32)})
            self.status(mf.SHAPE, model.run, "forward", {"input_ids": ids[0]})
            self.status(mf.INVALID_ARGUMENT, model.run, "forward", {})
            self.status(mf.WORKSPACE, model.run, "forward", {"input_ids": ids}, missing_workspace=1)
            self.status(mf.SHAPE, model.run, "forward", {"input_ids": ids}, replace_outputs={"logits": ((1, 2, 16), (2, 32))})
            self.status(mf.CALLBACK, model.run, "fail", {"code": np.int64(7)})
        self.status(mf.CPU_UNSUPPORTED, Model, FAKE, "never")
        self.assertEqual(mf.variants(FAKE), (["never", "fast", "plain"], ["fast", "plain"]))

    def test_overrun_is_found(self):
        with Model(FAKE) as model:
            with self.assertRaisesRegex(AssertionError, "1 bytes written behind workspace"):
                model.run("overrun", {})

    def test_cancel(self):
        with Model(FAKE, poll=lambda done, total: done == 3) as model:
            self.status(mf.CANCELLED, model.run, "forever", {})

    def test_state(self):
        with Model(FAKE) as model:
            state = State(model, 2, 4)
            run = lambda ids, **more: model.run("prefill", {"input_ids": np.array(ids, np.int64)}, state, **more)
            self.assertEqual(run([[1, 2], [3, 4]])["logits"].argmax(-1).tolist(), [3, 7])
            self.assertEqual(run([[1]], slots=[1])["logits"].argmax(-1).tolist(), [8])
            self.assertEqual((state.length(0), state.length(1)), (2, 3))
            self.status(mf.CACHE_FULL, run, [[1, 1, 1]])
            state.op(mf.TRUNCATE, 0, 0)
            self.assertEqual(run([[1, 1, 1]])["logits"].argmax(-1).tolist(), [3])
            state.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
