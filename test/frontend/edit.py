"""Copies a model directory with changes: edit.py FROM TO [KEY=JSON …] [--truncate BYTES] [--rename TENSOR=NAME].

KEY=JSON sets a value of config.json (null included), --truncate cuts the end off model.safetensors, --rename renames
one tensor in its header.
"""
import argparse
import json
import pathlib
import shutil
import struct

parser = argparse.ArgumentParser()
parser.add_argument("source", type=pathlib.Path)
parser.add_argument("target", type=pathlib.Path)
parser.add_argument("values", nargs="*")
parser.add_argument("--truncate", type=int, default=0)
parser.add_argument("--rename")
args = parser.parse_args()

shutil.rmtree(args.target, ignore_errors=True)
shutil.copytree(args.source, args.target)
config = json.loads((args.target / "config.json").read_text())
for value in args.values:
    key, text = value.split("=", 1)
    config[key] = json.loads(text)
(args.target / "config.json").write_text(json.dumps(config))

weights = args.target / "model.safetensors"
data = weights.read_bytes()
if args.rename:
    old, new = args.rename.split("=")
    size = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + size].replace(json.dumps(old).encode(), json.dumps(new).encode())
    data = struct.pack("<Q", len(header)) + header + data[8 + size :]
weights.write_bytes(data[: len(data) - args.truncate])
