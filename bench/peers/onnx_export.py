"""Writes MODEL.onnx beside model directories, for ONNX Runtime and OpenVINO. Needs torch, transformers, onnx and onnxscript.

usage: onnx_export.py DIRECTORY…

Inputs: input_ids [batch, tokens] and, of an encoder, attention_mask. Files newer than the directory's are left as they are.
"""
import os
import sys

import torch
import transformers


class LastLogits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(ids, use_cache=False, logits_to_keep=1).logits


class Hidden(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(ids, attention_mask=mask).last_hidden_state


def export(directory, path):
    ids = torch.randint(0, 100, (2, 32))
    if transformers.AutoConfig.from_pretrained(directory).model_type == "bert":
        module, inputs = Hidden(transformers.BertModel.from_pretrained(directory).eval()), (ids, torch.ones_like(ids))
    else:
        module, inputs = LastLogits(transformers.GPT2LMHeadModel.from_pretrained(directory).eval()), (ids,)
    sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("tokens", min=2, max=1024 if len(inputs) == 1 else 512)}
    torch.onnx.export(module.eval(), inputs, path, dynamo=True, opset_version=20, input_names=["input_ids", "attention_mask"][: len(inputs)],
                      output_names=["out"], dynamic_shapes=(sizes,) * len(inputs), external_data=True)


transformers.utils.logging.disable_progress_bar()
for directory in sys.argv[1:]:
    path = directory.rstrip("/") + ".onnx"
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(os.path.join(directory, "config.json")):
        export(directory, path)
