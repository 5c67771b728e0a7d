"""model_file.py's Model and State in a process of another architecture, under an emulator.

ATTN_TEST_EMULATE=aarch64, or another target of that architecture.

The other process is Inputs/remote_host.c; here the ABI's structs are laid out as bytes in its memory. Whatever is
64-bit and little-endian has the layouts of ctypes here.
"""
import ctypes
import os
import struct
import subprocess

import numpy as np

import model_file as mf
from model_file import ModelError

# Architecture: what runs build/<preset>/test/<architecture>/remote-host.
EMULATORS = {"aarch64": ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "max"],
             "riscv64": ["qemu-riscv64", "-L", "/usr/riscv64-linux-gnu"]}


class Process:
    """Requests to remote_host.c."""

    def __init__(self, arch):
        build = os.environ.get("ATTN_BUILD_DIR", "build/release")
        self.pipe = subprocess.Popen(EMULATORS[arch] + [os.path.join(build, "test", arch, "remote-host")],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.kept = []  # small things that live until the run's end

    def numbers(self, count):
        data = self.pipe.stdout.read(8 * count)
        assert len(data) == 8 * count, "the emulated process died, status %s" % self.pipe.wait()
        return struct.unpack("<%dQ" % count, data)

    def ask(self, request, *numbers, data=b"", answers=1):
        numbers = [n & (1 << 64) - 1 for n in numbers]
        self.pipe.stdin.write(request + struct.pack("<%dQ" % len(numbers), *numbers) + data)
        self.pipe.stdin.flush()
        return self.numbers(answers)[0] if answers else None

    def load(self, path):
        path = os.path.abspath(path).encode()
        query = self.ask(b"L", len(path), data=path)
        assert query, "the emulated process cannot load %s" % path.decode()
        return query

    def read(self, address, size):
        self.ask(b"R", address, size, answers=0)
        data = self.pipe.stdout.read(size)
        assert len(data) == size, "the emulated process died, status %s" % self.pipe.wait()
        return data

    def text(self, address):
        return self.pipe.stdout.read(self.ask(b"T", address)).decode()

    def write(self, address, data):
        self.ask(b"W", address, len(data), data=bytes(data))

    def call(self, function, *arguments, poll=None):
        self.ask(b"C", function, *arguments, *[0] * (8 - len(arguments)), answers=0)
        while self.numbers(1)[0]:
            done, total = self.numbers(2)
            self.ask(struct.pack("<q", int(poll(done, total))), answers=0)
        return self.numbers(1)[0]

    def keep(self, data):
        """The address of a copy of `data` that lives until `release`."""
        address = self.ask(b"A", len(data), 8, 0)
        self.kept.append(address)
        self.write(address, data)
        return address

    def release(self):
        while self.kept:
            self.ask(b"F", self.kept.pop())


_processes = {}


def process():
    arch = os.environ["ATTN_TEST_EMULATE"].split("-")[0]
    if arch not in _processes:
        _processes[arch] = Process(arch)
    return _processes[arch]


class Memory:
    """model_file.Guarded over there."""

    def __init__(self, size, align=1, name="buffer"):
        self.process, self.size, self.name = process(), size, name
        self.address = self.process.ask(b"A", size, align, 0xFF)

    def check(self):
        wrong = self.process.ask(b"K", self.address)
        assert not wrong, "bytes written %s %s" % (("", "before", "behind")[wrong], self.name)

    def free(self):
        self.process.ask(b"F", self.address)


def fields(kind, data):
    """The fields of a struct of `kind` (a ctypes.Structure) as numbers, pointers too; others as bytes."""
    result = {}
    for name, field_type, *_ in kind._fields_:
        field = getattr(kind, name)
        raw = data[field.offset : field.offset + field.size]
        result[name] = raw if issubclass(field_type, (ctypes.Array, ctypes.Structure)) else int.from_bytes(raw, "little")
    return result


def packed(kind, **values):
    """The bytes of a struct; fields that are not named are 0."""
    data = bytearray(ctypes.sizeof(kind))
    for name, value in values.items():
        field = getattr(kind, name)
        value = bytes(value) if isinstance(value, (bytes, ctypes.Structure)) else int(value).to_bytes(field.size, "little")
        data[field.offset : field.offset + field.size] = value
    return data


class Entry:
    def __init__(self, over, data):
        info = fields(mf.EntryInfo, data)
        self.name = over.text(info["name"])

        def rows(kind, address, count):
            size = ctypes.sizeof(kind)
            data = over.read(address, size * count) if count else b""
            return [fields(kind, data[i * size : (i + 1) * size]) for i in range(count)]

        self.dims = [over.text(row["name"]) for row in rows(mf.Dim, info["dims"], info["n_dims"])]
        self.inputs, self.outputs = [], []
        for tensors, key, count in ((self.inputs, "inputs", "n_in"), (self.outputs, "outputs", "n_out")):
            for row in rows(mf.TensorInfo, info[key], info[count]):
                code = struct.unpack("<BBH", row["dtype"])[:2]
                dims = struct.unpack("<%dq" % mf.MAX_RANK, row["dims"])[: row["rank"]]
                tensors.append((over.text(row["name"]), code, dims, row["flags"]))


class Tensor:
    """model_file.Tensor over there."""

    def __init__(self, name, array=None, shape=None, code=None, strided=False):
        over = process()
        if array is not None:
            array = np.asarray(array)
            shape, code = array.shape, mf._CODES[array.dtype]
        self.dtype, self.shape = np.dtype(mf._DTYPES[code]), tuple(shape)
        count = int(np.prod(shape, dtype=np.int64))
        steps = [int(np.prod(shape[d + 1 :], dtype=np.int64)) for d in range(len(shape))]
        if strided and count and min(array.strides, default=0) >= 0:
            steps = [step // self.dtype.itemsize for step in array.strides]
            count = 1 + sum((size - 1) * step for size, step in zip(shape, steps))
        self.bytes = count * self.dtype.itemsize
        self.memory = Memory(self.bytes, self.dtype.itemsize, name)
        if array is not None:
            data = np.full(self.bytes, 0xFF, np.uint8).view(self.dtype)
            np.lib.stride_tricks.as_strided(data, shape, [step * self.dtype.itemsize for step in steps])[...] = array
            over.write(self.memory.address, data.tobytes())
            over.ask(b"P", self.memory.address)
        rank = len(shape)
        self.address = over.keep(packed(
            mf.DLTensor, data=self.memory.address, device=mf.DLDevice(1, 0), ndim=rank, dtype=mf.DLDataType(code[0], code[1], 1),
            shape=over.keep(struct.pack("<%dq" % rank, *shape)), strides=over.keep(struct.pack("<%dq" % rank, *steps))))

    def array(self):
        return np.frombuffer(self.memory.process.read(self.memory.address, self.bytes), self.dtype).reshape(self.shape)


class Model:
    """model_file.Model; the same schedules, over there."""

    def __init__(self, path, variant=None, workers=1, schedule=None, seed=0, poll=None):
        self.path, self.over, self.poll = path, process(), poll
        self.schedule, self.workers, self.seed = schedule or ("serial" if workers == 1 else "threads"), workers, seed
        over = self.over
        table = over.call(over.load(path), mf.ABI_VERSION)
        self.library = fields(mf.Library, over.read(table, ctypes.sizeof(mf.Library)))
        size = ctypes.sizeof(mf.EntryInfo)
        data = over.read(self.library["entries"], size * self.library["n_entries"])
        self.infos = [Entry(over, data[at : at + size]) for at in range(0, len(data), size)]
        self.entries = {info.name: i for i, info in enumerate(self.infos)}
        serial = self.schedule == "serial"
        alloc, free, parallel_for, polling = (over.ask(b"H", i) for i in range(4))
        host = over.keep(packed(mf.Host, size=ctypes.sizeof(mf.Host), flags=mf.GANG * (self.schedule in ("gang", "one by one")),
                                workers=1 if serial else workers,
                                alloc=alloc, free=free, parallel_for=0 if serial else parallel_for, poll=polling if poll else 0))
        name = over.keep(variant.encode() + b"\0") if variant else 0
        options = over.keep(packed(mf.OpenOptions, size=ctypes.sizeof(mf.OpenOptions), variant=name, device=mf.DLDevice(1, 0)))
        place = over.keep(bytes(8))
        self.handle = None
        self.checked("open", options, place, first=host)
        self.handle = int.from_bytes(over.read(place, 8), "little")
        self.variant = over.text(over.call(self.library["variant"], self.handle))
        over.release()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.over.call(self.library["close"], self.handle)

    def call(self, function, arguments, first=None):
        """The result, and the code and text of the error."""
        error = self.over.keep(packed(mf.Error, size=ctypes.sizeof(mf.Error)))
        if self.schedule != "serial":
            schedule = {"shuffle": 0, "one by one": 0, "threads": 1, "gang": 1, "failing": 2}[self.schedule]
            self.over.ask(b"S", schedule, self.workers, self.seed)
        result = self.over.call(self.library[function], self.handle if first is None else first, *arguments, error, poll=self.poll)
        told = fields(mf.Error, self.over.read(error, ctypes.sizeof(mf.Error)))
        return result, told["code"], told["text"].split(b"\0")[0].decode()

    def checked(self, function, *arguments, first=None):
        status, code, text = self.call(function, arguments, first)
        status &= (1 << 32) - 1
        if status != mf.OK:
            assert code == status and text, "%s: status %d with error %d '%s'" % (function, status, code, text)
            raise ModelError(status, text)

    def call_size(self, function, *arguments):
        size, code, text = self.call(function, arguments)
        if size == 0:
            raise ModelError(code, text)
        return size

    def run(self, entry, inputs, state=None, slots=None, dims=None, missing_workspace=0, replace_outputs=None, skip=()):
        over, index = self.over, self.entries[entry]
        info = self.infos[index]
        unknown = set(inputs) - {name for name, *_ in info.inputs}
        assert not unknown, "%s has no input %s" % (entry, sorted(unknown))
        buffers = []

        def tensor(name, **options):
            buffers.append(Tensor(name, **options))
            return buffers[-1]

        def array(tensors):
            return over.keep(struct.pack("<%dQ" % len(tensors), *[t.address if t else 0 for t in tensors]) or bytes(8))

        try:
            given = [tensor(name, array=inputs[name], strided=flags & mf.STRIDED) if inputs.get(name) is not None else None
                     for name, _, _, flags in info.inputs]
            call = dict(size=ctypes.sizeof(mf.Call), n_in=len(info.inputs), n_out=len(info.outputs), inputs=array(given),
                        state=state.handle if state else 0,
                        slots=over.keep(struct.pack("<%di" % len(slots), *slots)) if slots is not None else 0)
            found = over.keep(bytes(8 * max(1, len(info.dims))))
            self.checked("infer_dims", index, over.keep(packed(mf.Call, **call)), found)
            sizes = list(struct.unpack("<%dq" % len(info.dims), over.read(found, 8 * len(info.dims))))
            sizes = [(dims or {}).get(name, size) for name, size in zip(info.dims, sizes)]
            over.write(found, struct.pack("<%dq" % len(sizes), *sizes))
            results = []
            for name, code, shape, _ in info.outputs:
                shape = [d if d >= 0 else sizes[-1 - d] for d in shape]
                shape, code = (replace_outputs or {}).get(name, (shape, code))
                results.append(None if name in skip else tensor(name, shape=shape, code=code))
            call.update(outputs=array(results))
            if skip or any(x is not None and np.asarray(x).dtype == np.int32 for x in inputs.values()):
                size = self.call_size("call_workspace_bytes", index, over.keep(packed(mf.Call, **call)))
            else:
                size = self.call_size("workspace_bytes", index, found)
            workspace = Memory(size - missing_workspace, 64, "workspace")
            call.update(workspace=workspace.address, workspace_bytes=workspace.size)
            try:
                self.checked("run", index, over.keep(packed(mf.Call, **call)))
                return {t.memory.name: t.array() for t in results if t}
            finally:
                for memory in [t.memory for t in buffers] + [workspace] + ([state.memory] if state else []):
                    memory.check()
                workspace.free()
        finally:
            for t in buffers:
                t.memory.free()
            over.release()


class State:
    """model_file.State."""

    def __init__(self, model, slots, capacity, page=0, pages=None):
        self.model = model
        kind, sizes = ("state", [slots, capacity, page]) if pages is None else ("pool", [slots, capacity, page, pages])
        size = model.call_size(kind + "_bytes", *sizes)
        self.memory = Memory(size, 64, kind)
        place = model.over.keep(bytes(8))
        model.checked(kind + "_init", self.memory.address, size, *sizes, place)
        self.handle = int.from_bytes(model.over.read(place, 8), "little")
        model.over.release()

    def map(self, slot, pages, length):
        numbers = self.model.over.keep(struct.pack("<%di" % len(pages), *pages))
        try:
            self.model.checked("pool_map", self.handle, slot, numbers, len(pages), length)
        finally:
            self.model.over.release()

    def op(self, verb, slot, value=0):
        place = self.model.over.keep(struct.pack("<q", -1))
        try:
            self.model.checked("state_op", self.handle, verb, slot, value, place)
            return struct.unpack("<q", self.model.over.read(place, 8))[0]
        finally:
            self.model.over.release()

    used, length = mf.State.used, mf.State.length

    def close(self):
        self.memory.check()
        self.memory.free()


def variants(path):
    """All variants: the emulated CPU has everything."""
    over = process()
    library = fields(mf.Library, over.read(over.call(over.load(path), mf.ABI_VERSION), ctypes.sizeof(mf.Library)))
    data = over.read(library["variants"], 8 * library["n_variants"])
    names = [over.text(address) for address in struct.unpack("<%dQ" % library["n_variants"], data)]
    return names, names
