"""ONNX Runtime on what onnx_export.py wrote. Needs onnxruntime; see peer.py."""
import os

import numpy as np
import onnxruntime

import peer


def setup(request):
    settings, sessions = onnxruntime.SessionOptions(), {}
    settings.intra_op_num_threads = request["threads"]

    def prepare(work):
        path = os.path.join(request["folder"], work["model"] + ".onnx")
        if path not in sessions:
            sessions[path] = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        session = sessions[path]
        ids = np.random.default_rng(0).integers(0, 1000, (work["batch"], work["tokens"]))
        values = {i.name: ids if i.name == "input_ids" else np.ones_like(ids) for i in session.get_inputs()}
        return lambda: session.run(None, values)

    return prepare


if __name__ == "__main__":
    peer.serve("ONNX Runtime " + onnxruntime.__version__, setup)
