"""What bench/run.py measures, and who takes part.

A work is a dictionary, which goes to the peers as it is. name: what --only and the tables look at, always that of the
full size. form: gemm (m, k, n), prefill (one prompt, logits of its last token), decode (one more token after `tokens` in the
cache), encode (all tokens at once, no cache) or first (a fresh process up to the first token after a prompt); then batch,
tokens of one sequence, and model: a directory in the work folder. threads; types and peers when not all measure it.
"""
from collections import namedtuple

# script: in bench/peers; python: the --…-python that runs it, None is this one; label: what follows its name in tables.
# A new peer: its script (see peers/peer.py), one row per type here, one line for --…-python in run.py.
Peer = namedtuple("Peer", "script python type label forms")
PASS, CACHED = ("prefill", "encode", "first"), ("prefill", "decode", "first")
ALL = ("gemm", "decode") + PASS
PEERS = {
    "attnc f32": Peer("attnc_models.py", None, "f32", "f32", ALL),
    "attnc bf16": Peer("attnc_models.py", None, "bf16", "bf16 weights", ALL),
    "attnc math": Peer("attnc_models.py", None, "math", "bf16 weights and products", ALL),
    "torch f32": Peer("torch_models.py", "torch", "f32", "eager f32", ALL),
    "torch bf16": Peer("torch_models.py", "torch", "bf16", "eager bf16", ALL),
    "openvino f32": Peer("openvino_models.py", "openvino", "f32", "f32", PASS),
    "openvino bf16": Peer("openvino_models.py", "openvino", "bf16", "bf16", PASS),
    "onnxruntime f32": Peer("onnxruntime_models.py", "onnxruntime", "f32", "f32", PASS),
    "llama f32": Peer("llama_models.py", "llama", "f32", "f32", CACHED),
    "llama bf16": Peer("llama_models.py", "llama", "bf16", "bf16", CACHED),
}
# attnc's options by type: of a model directory, and of a module (gemm), which states its types itself.
BF16 = ["--dtype=bf16", "--cache-dtype=bf16"]
OURS = {"f32": ([], []), "bf16": (BF16, []), "math": (BF16 + ["--math=bf16"], ["--math=bf16"])}
SHAPES = [(768, 2304), (768, 768), (768, 3072), (3072, 768)]  # of GPT-2's weights, [in, out]
ROWS = (128, 512, 1024)
LENGTHS = (128, 256, 512, 1024)
BATCHES = (1, 2, 4, 8, 16)
DEPTHS = (6, 12, 24)
CONTEXTS = (128, 1000)  # tokens in the cache before decoding; for batches the first
ENCODED = ((1, 16), (1, 128), (32, 128))
LONG = 8192  # tokens of the prompt whose memory is measured
WIDTH, VOCAB = 768, 50257


def name(form, model, batch, tokens):
    return "%s %s %dx%d" % (form, model, batch, tokens)


def gpt2(depth):
    return "gpt2-%d" % depth


def all_models(quick):
    """{directory: (script that writes it, its options)}"""
    part = 16 if quick else 1
    vocab = ["--vocab", str(VOCAB // part)]
    layers = lambda depth: ["--layers", str(depth // 6 if quick else depth)]
    models = {gpt2(depth): ("gpt2_random.py", layers(depth) + vocab) for depth in DEPTHS}
    models["gpt2-long"] = ("gpt2_random.py", layers(12) + vocab + ["--context", str(LONG // part)])
    models["minilm"] = ("bert_random.py", layers(6) + vocab)
    models["gemm"] = ("gemm_module.py", [])
    return models


def all_works(quick, threads):
    part = 16 if quick else 1  # of every length
    works = [{"name": "gemm %dx%dx%d" % (m, k, n), "form": "gemm", "m": m // part, "k": k, "n": n, "threads": threads}
             for m in ROWS for k, n in SHAPES]

    def add(form, model, batch, tokens, label="", **more):
        work = {"name": name(form, model, batch, tokens) + label, "form": form, "model": model,
                "batch": min(batch, 4) if quick else batch, "tokens": max(tokens // part, 2), "threads": threads}
        if all(w["name"] != work["name"] for w in works):
            works.append(dict(work, **more))

    base, few = gpt2(12), {"types": ["f32"], "peers": ["attnc", "torch"]}
    for tokens in LENGTHS:
        add("prefill", base, 1, tokens)
    for tokens in CONTEXTS:
        add("decode", base, 1, tokens)
    for batch in BATCHES:
        add("decode", base, batch, CONTEXTS[0])
    for batch, tokens in ENCODED:
        add("encode", "minilm", batch, tokens)
    for depth in DEPTHS:  # the base is there already
        add("prefill", gpt2(depth), 1, 512, **few)
        add("decode", gpt2(depth), 1, CONTEXTS[0], **few)
    for count in (1, 2):
        if count != threads:
            more = {"label": " on %d" % count, "types": ["f32"]}
            add("prefill", base, 1, 512, **more, threads=count)
            add("decode", base, 1, CONTEXTS[0], **more, threads=count)
    add("first", base, 1, 128)
    return works


def compiles():
    """"compile", a model and a target: what it takes and gives is measured, too."""
    return ["compile %s %s" % (gpt2(depth), target) for depth in DEPTHS for target in ("native", "portable")]


def works_of(peer, works):
    """Those that the peer takes part in."""
    script = peer.script.partition("_")[0]
    return [w for w in works if w["form"] in peer.forms and peer.type in w.get("types", [peer.type])
            and script in w.get("peers", [script])]
