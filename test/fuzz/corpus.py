"""Writes the inputs that fuzzing starts from: corpus.py config|safetensors|tokenizer DIRECTORY."""
import base64
import json
import os
import struct
import sys

kind, directory = sys.argv[1:]
os.makedirs(directory)
if kind == "config":
    fixtures = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures")
    count = 0
    for place, _, files in sorted(os.walk(fixtures)):
        if "config.json" in files:
            with open(os.path.join(place, "config.json"), encoding="utf-8") as file:
                text = json.dumps(json.load(file), separators=(",", ":"))
            with open(os.path.join(directory, "%d.json" % count), "w", encoding="utf-8") as file:
                file.write(text)
            count += 1
elif kind == "tokenizer":
    # The fixtures' files with vocabularies cut to some tokens, which leaves room for changes of the parts.
    fixtures = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures", "tokenizer")
    for name in ("llama2", "llama3", "qwen", "unigram", "unigram-nfkc", "wordpiece"):
        with open(os.path.join(fixtures, name, "tokenizer.json"), encoding="utf-8") as file:
            content = json.load(file)
        model = content["model"]
        if isinstance(model["vocab"], list):
            model["vocab"] = model["vocab"][:30]
        else:
            model["vocab"] = {t: i for t, i in model["vocab"].items() if len(t) == 1 or i < 10}
        model["merges"] = []
        if name == "unigram":
            # The start of the trie and of the replacements: offsets beyond them occur, as they should.
            rules = base64.b64decode(content["normalizer"]["precompiled_charsmap"])
            size = struct.unpack("<I", rules[:4])[0]
            rules = struct.pack("<I", 1024) + rules[4 : 4 + 1024] + rules[4 + size : 4 + size + 100].rsplit(b"\0", 1)[0]
            content["normalizer"]["precompiled_charsmap"] = base64.b64encode(rules).decode()
        with open(os.path.join(directory, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, separators=(",", ":"))
else:
    headers = [{"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}},
               {"__metadata__": {"format": "pt"}, "b": {"dtype": "BF16", "shape": [2, 2, 2], "data_offsets": [0, 16]},
                "c": {"dtype": "F64", "shape": [], "data_offsets": [16, 24]}, "d": {"dtype": "F16", "shape": [0, 7], "data_offsets": [24, 24]}},
               {"q": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}, "v": {"dtype": "U8", "shape": [3], "data_offsets": [4, 7]}}]
    for index, header in enumerate(headers):
        text = json.dumps(header).encode()
        size = max(t["data_offsets"][1] for name, t in header.items() if name != "__metadata__")
        with open(os.path.join(directory, str(index)), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + bytes(range(size)))
