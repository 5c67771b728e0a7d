"""Reads and writes safetensors files, BF16 included (numpy has no such type: values come back as float32)."""
import json
import struct

import numpy as np

_TYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items() if name != "BF16"}


def to_bf16(x):
    """float32 values as bfloat16 bits (uint16), rounded to nearest even; NaN stays NaN."""
    x = np.ascontiguousarray(x, np.float32)
    bits = x.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded).reshape(x.shape)


def from_bf16(bits):
    """bfloat16 bits as float32."""
    return (np.asarray(bits, np.uint16).astype(np.uint32) << 16).view(np.float32)


def round_to(x, kind):
    """float32 values after storage as kind: f32, bf16 or f16."""
    x = np.asarray(x, np.float32)
    return {"f32": lambda: x, "bf16": lambda: from_bf16(to_bf16(x)), "f16": lambda: x.astype(np.float16).astype(np.float32)}[kind]()


def read(path):
    """{name: array}; BF16 becomes float32."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        array = np.frombuffer(data[begin:end], _TYPES[info["dtype"]]).reshape(info["shape"])
        tensors[name] = from_bf16(array).reshape(info["shape"]) if info["dtype"] == "BF16" else array
    return tensors


def write(path, tensors, kinds=None):
    """tensors {name: array}; kinds {name: "f32" | "bf16" | "f16"} stores float arrays in another type."""
    header, chunks, offset = {}, [], 0
    for name, array in tensors.items():
        kind = (kinds or {}).get(name)
        array = np.ascontiguousarray(array)
        shape = list(array.shape)
        if kind == "bf16":
            array, label = to_bf16(array), "BF16"
        else:
            if kind is not None:
                array = array.astype({"f32": np.float32, "f16": np.float16}[kind])
            label = _NAMES[array.dtype]
        chunk = array.tobytes()
        header[name] = {"dtype": label, "shape": shape, "data_offsets": [offset, offset + len(chunk)]}
        offset += len(chunk)
        chunks.append(chunk)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for chunk in chunks:
            file.write(chunk)
