"""OpenVINO on what onnx_export.py wrote, compiled for each shape. Needs openvino; see peer.py."""
import os

import numpy as np
import openvino

import peer


def setup(request):
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": request["type"], "INFERENCE_NUM_THREADS": request["threads"], "PERFORMANCE_HINT": "LATENCY"}

    def prepare(work):
        model, shape = core.read_model(os.path.join(request["folder"], work["model"] + ".onnx")), [work["batch"], work["tokens"]]
        model.reshape({i.any_name: shape for i in model.inputs})
        run = core.compile_model(model, "CPU", settings).create_infer_request()
        ids = np.random.default_rng(0).integers(0, 1000, shape)
        values = {i: ids if i == 0 else np.ones_like(ids) for i in range(len(model.inputs))}
        return lambda: run.infer(values)

    return prepare


if __name__ == "__main__":
    peer.serve("OpenVINO " + openvino.__version__.split("-")[0], setup)
