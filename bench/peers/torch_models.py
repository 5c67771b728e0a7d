"""PyTorch eager on GPT-2 and BERT directories and on products alone. Needs torch and transformers; see peer.py."""
import os

import torch
import transformers

import peer

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
CLASSES = {"decode": transformers.GPT2LMHeadModel, "prefill": transformers.GPT2LMHeadModel, "encode": transformers.BertModel}


def setup(request):
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(request["threads"])
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    kind, models = TYPES[request["type"]], {}

    def prepare(work):
        if work["form"] == "gemm":
            x, w = torch.randn(work["m"], work["k"], dtype=kind), torch.randn(work["k"], work["n"], dtype=kind)
            y = torch.empty(work["m"], work["n"], dtype=kind)
            return lambda: torch.mm(x, w, out=y)
        directory = os.path.join(request["folder"], work["model"])
        if directory not in models:
            models[directory] = CLASSES[work["form"]].from_pretrained(directory, dtype=kind).eval()
        model = models[directory]
        ids = torch.randint(0, model.config.vocab_size, (work["batch"], work["tokens"]))
        if work["form"] == "encode":
            mask = torch.ones_like(ids)
            return lambda: model(ids, attention_mask=mask)
        if work["form"] == "prefill":
            return lambda: model(ids, use_cache=False, logits_to_keep=1)
        cache = model(ids, use_cache=True, logits_to_keep=1).past_key_values

        def reset():
            if cache.get_seq_length() > work["tokens"]:  # it wants to be told how many to remove
                cache.crop(work["tokens"] - cache.get_seq_length())

        return lambda: model(ids[:, :1], past_key_values=cache, use_cache=True), reset

    return prepare


if __name__ == "__main__":
    peer.serve("PyTorch " + torch.__version__.split("+")[0], setup)
