"""Writes the inputs that fuzzing starts from: corpus.py config|safetensors DIRECTORY."""
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
