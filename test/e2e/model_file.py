"""Drives a compiled model file through its ABI (runtime/attn_abi.h) with ctypes, without our runtime library.

Every buffer ends at a page that faults when touched, is surrounded by bytes that must not change, and is filled
with NaN before the run; inputs are read-only. A wrong access therefore ends in SIGSEGV (faulthandler prints the
Python line) or in an AssertionError that names the buffer.
"""
import ctypes
import faulthandler
import mmap
import random
import threading
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p, c_int32, c_int64, c_uint8, c_uint16,
                    c_uint32, c_uint64, c_void_p, pointer, sizeof)

import numpy as np

import cuda

faulthandler.enable()

ABI_VERSION = 1
# attn_status
(OK, INVALID_ARGUMENT, SHAPE, DTYPE, WORKSPACE, CACHE_FULL, CPU_UNSUPPORTED, OUT_OF_MEMORY, CALLBACK, CANCELLED,
 CORRUPT_FILE, ABI_MISMATCH, RANGE, UNSUPPORTED, IO) = range(15)
# attn_state_verb
LENGTH, TRUNCATE, COPY, FORK, CAPACITY, PAGES, PAGE_OFFSET, PAGE_USES, CLEAR, CROSS_LENGTH = range(10)
OPTIONAL, STRIDED, CROSS_MASK, INT32 = 1, 2, 4, 8
GANG = 1
MAX_RANK = 8

# ---- The header's structs ---------------------------------------------------------------------------------


class DLDevice(Structure):
    _fields_ = [("device_type", c_int32), ("device_id", c_int32)]


class DLDataType(Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class DLTensor(Structure):
    _fields_ = [("data", c_void_p), ("device", DLDevice), ("ndim", c_int32), ("dtype", DLDataType),
                ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)]


class Error(Structure):
    _fields_ = [("size", c_uint32), ("code", c_int32), ("text", c_char * 512)]


TaskFn = CFUNCTYPE(c_int32, c_void_p, c_int64, c_uint32)
AllocFn = CFUNCTYPE(c_void_p, c_void_p, DLDevice, c_uint64, c_uint64)
FreeFn = CFUNCTYPE(None, c_void_p, DLDevice, c_void_p)
ParallelForFn = CFUNCTYPE(c_int32, c_void_p, c_int64, TaskFn, c_void_p)
PollFn = CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)
ExternalFn = CFUNCTYPE(c_int32, c_void_p, POINTER(POINTER(DLTensor)), c_uint32, POINTER(POINTER(DLTensor)), c_uint32)
ResolveFn = CFUNCTYPE(c_void_p, c_void_p, c_char_p)


class Host(Structure):
    _fields_ = [("size", c_uint32), ("flags", c_uint32), ("workers", c_uint32), ("reserved", c_uint32), ("ctx", c_void_p),
                ("alloc", AllocFn), ("free", FreeFn), ("parallel_for", ParallelForFn), ("log", c_void_p),
                ("span", c_void_p), ("poll", PollFn), ("resolve", ResolveFn)]


class Dim(Structure):
    _fields_ = [("name", c_char_p), ("min", c_int64), ("max", c_int64)]


class TensorInfo(Structure):
    _fields_ = [("name", c_char_p), ("dtype", DLDataType), ("flags", c_uint32), ("rank", c_int32),
                ("dims", c_int64 * MAX_RANK)]


class EntryInfo(Structure):
    _fields_ = [("size", c_uint32), ("name", c_char_p), ("n_dims", c_uint32), ("n_in", c_uint32), ("n_out", c_uint32),
                ("dims", POINTER(Dim)), ("inputs", POINTER(TensorInfo)), ("outputs", POINTER(TensorInfo)),
                ("uses_state", c_uint32)]


class Variant(Structure):
    _fields_ = [("name", c_char_p)]


class OpenOptions(Structure):
    _fields_ = [("size", c_uint32), ("variant", c_char_p), ("weights", c_void_p), ("weights_bytes", c_uint64),
                ("device", DLDevice)]


class Call(Structure):
    _fields_ = [("size", c_uint32), ("n_in", c_uint32), ("n_out", c_uint32), ("inputs", POINTER(POINTER(DLTensor))),
                ("outputs", POINTER(POINTER(DLTensor))), ("state", c_void_p), ("slots", POINTER(c_int32)),
                ("workspace", c_void_p), ("workspace_bytes", c_uint64), ("stream", c_void_p)]


class EmbeddedFile(Structure):
    _fields_ = [("name", c_char_p), ("data", c_void_p), ("bytes", c_uint64)]


class Library(Structure):
    _fields_ = [
        ("size", c_uint32), ("abi", c_uint32), ("name", c_char_p), ("build_id", c_char_p), ("json", c_char_p),
        ("n_variants", c_uint32), ("n_entries", c_uint32), ("variants", POINTER(Variant)),
        ("entries", POINTER(EntryInfo)), ("weights_bytes", c_uint64), ("weights", c_void_p), ("weights_file", c_char_p),
        ("open", CFUNCTYPE(c_int32, POINTER(Host), POINTER(OpenOptions), POINTER(c_void_p), POINTER(Error))),
        ("close", CFUNCTYPE(None, c_void_p)),
        ("variant", CFUNCTYPE(c_char_p, c_void_p)),
        ("infer_dims", CFUNCTYPE(c_int32, c_void_p, c_uint32, POINTER(Call), POINTER(c_int64), POINTER(Error))),
        ("workspace_bytes", CFUNCTYPE(c_uint64, c_void_p, c_uint32, POINTER(c_int64), POINTER(Error))),
        ("state_bytes", CFUNCTYPE(c_uint64, c_void_p, c_uint32, c_uint64, c_uint32, POINTER(Error))),
        ("state_init", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_uint64, c_uint32, c_uint64, c_uint32, POINTER(c_void_p),
                                 POINTER(Error))),
        ("state_attach", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_uint64, POINTER(c_void_p), POINTER(Error))),
        ("state_op", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_int32, c_uint32, c_int64, POINTER(c_int64), POINTER(Error))),
        ("run", CFUNCTYPE(c_int32, c_void_p, c_uint32, POINTER(Call), POINTER(Error))),
        ("pool_bytes", CFUNCTYPE(c_uint64, c_void_p, c_uint32, c_uint64, c_uint32, c_uint32, POINTER(Error))),
        ("pool_init", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_uint64, c_uint32, c_uint64, c_uint32, c_uint32,
                                POINTER(c_void_p), POINTER(Error))),
        ("pool_map", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_uint32, POINTER(c_int32), c_uint32, c_int64, POINTER(Error))),
        ("call_workspace_bytes", CFUNCTYPE(c_uint64, c_void_p, c_uint32, POINTER(Call), POINTER(Error))),
        ("n_files", c_uint32), ("files", POINTER(EmbeddedFile)),
    ]


class ModelError(Exception):
    """A status other than ATTN_OK."""

    def __init__(self, code, text):
        super().__init__("status %d: %s" % (code, text))
        self.code, self.text = code, text


# ---- Guarded memory ---------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = c_void_p
_libc.mmap.argtypes = [c_void_p, ctypes.c_size_t, c_int32, c_int32, c_int32, c_int64]
_libc.munmap.argtypes = [c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [c_void_p, ctypes.c_size_t, c_int32]
_PAGE = mmap.PAGESIZE
_NONE, _READ, _READ_WRITE = 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
_CANARY = 0xC5


class Guarded:
    """`size` bytes whose end lies at a faulting page (up to `align` - 1 canary bytes before it), filled with `fill`."""

    def __init__(self, size, align=1, fill=0xFF, name="buffer"):
        self.name, self.size = name, size
        self.usable = max(_PAGE, -(-(size + align) // _PAGE) * _PAGE)
        self.base = _libc.mmap(None, self.usable + 2 * _PAGE, _READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if self.base in (None, c_void_p(-1).value):
            raise MemoryError("mmap of %d bytes" % size)
        first = self.base + _PAGE
        for guard in (self.base, first + self.usable):
            assert _libc.mprotect(guard, _PAGE, _NONE) == 0
        self.address = (first + self.usable - size) // align * align
        self.before = self.address - first
        self.all = np.frombuffer((c_uint8 * self.usable).from_address(first), np.uint8)
        self.all[:] = _CANARY
        self.bytes = self.all[self.before : self.before + size]
        self.bytes[:] = fill

    def array(self, dtype, shape):
        """The bytes as an array."""
        return self.bytes.view(dtype).reshape(shape)

    def protect(self):
        """Makes the memory read-only."""
        assert _libc.mprotect(self.base + _PAGE, self.usable, _READ) == 0

    def check(self):
        """AssertionError when a byte beside the buffer was written."""
        for side, part in (("before", self.all[: self.before]), ("behind", self.all[self.before + self.size :])):
            wrong = np.flatnonzero(part != _CANARY)
            assert not wrong.size, "%d bytes written %s %s" % (wrong.size, side, self.name)

    def free(self):
        if self.base:
            _libc.munmap(self.base, self.usable + 2 * _PAGE)
            self.base, self.all, self.bytes = None, None, None


# ---- Tensors ----------------------------------------------------------------------------------------------

_DTYPES = {(0, 8): np.int8, (0, 32): np.int32, (0, 64): np.int64, (1, 8): np.uint8, (2, 16): np.float16,
           (2, 32): np.float32, (2, 64): np.float64, (4, 16): np.uint16, (6, 8): np.bool_}
_CODES = {np.dtype(kind): code for code, kind in _DTYPES.items() if code != (4, 16)}
_CODES[np.dtype(np.uint16)] = (4, 16)  # bfloat16 travels as its bits


class Tensor:
    """A DLTensor over guarded memory. `strided`: laid out with the array's strides, NaN between its elements."""

    def __init__(self, name, array=None, shape=None, code=None, fill=0xFF, strided=False):
        if array is not None:
            array = np.asarray(array)
            shape, code = array.shape, _CODES[array.dtype]
        dtype = np.dtype(_DTYPES[code])
        count = int(np.prod(shape, dtype=np.int64))
        steps = [int(np.prod(shape[d + 1 :], dtype=np.int64)) for d in range(len(shape))]
        if strided and count and min(array.strides, default=0) >= 0:
            steps = [step // dtype.itemsize for step in array.strides]
            count = 1 + sum((size - 1) * step for size, step in zip(shape, steps))
        self.memory = Guarded(count * dtype.itemsize, dtype.itemsize, fill, name)
        self.array = np.lib.stride_tricks.as_strided(self.memory.array(dtype, count), shape,
                                                     [step * dtype.itemsize for step in steps])
        if array is not None:
            self.array[...] = array
            self.memory.protect()
        rank = len(shape)
        self.shape = (c_int64 * max(rank, 1))(*shape)
        self.strides = (c_int64 * max(rank, 1))(*steps)
        self.dl = DLTensor(self.memory.address, DLDevice(1, 0), rank, DLDataType(code[0], code[1], 1), self.shape,
                           self.strides, 0)


class State:
    """Guarded memory for cached sequences. pages: of a pool; the caller maps them."""

    def __init__(self, model, slots, capacity, page=0, pages=None):
        self.model = model
        kind, sizes = ("state", [slots, capacity, page]) if pages is None else ("pool", [slots, capacity, page, pages])
        size = model.call_size(kind + "_bytes", *sizes)
        self.memory = Guarded(size, 64, name=kind)
        self.handle = c_void_p()
        model.checked(kind + "_init", self.memory.address, size, *sizes, byref(self.handle))

    def map(self, slot, pages, length):
        """attn_library.pool_map."""
        numbers = (c_int32 * max(1, len(pages)))(*pages)
        self.model.checked("pool_map", self.handle, slot, numbers, len(pages), length)

    def used(self):
        """How many physical pages slots hold."""
        return sum(self.op(PAGE_USES, 0, page) > 0 for page in range(self.op(PAGES, 0)))

    def op(self, verb, slot, value=0):
        """attn_library.state_op; returns its result."""
        result = c_int64(-1)
        self.model.checked("state_op", self.handle, verb, slot, value, byref(result))
        return result.value

    def length(self, slot=0):
        return self.op(LENGTH, slot)

    def close(self):
        self.memory.check()
        self.memory.free()


# ---- Model ------------------------------------------------------------------------------------------------


def load(path, max_abi=ABI_VERSION):
    """The library table of a file; ModelError when the file wants another ABI."""
    query = ctypes.CDLL(path, mode=2).attn_query  # RTLD_NOW
    query.restype, query.argtypes = POINTER(Library), [c_uint32]
    table = query(max_abi)
    if not table:
        raise ModelError(ABI_MISMATCH, "the file needs an ABI newer than %d" % max_abi)
    return table.contents


class Model:
    """An open model file.

    schedule: how tasks run. "serial": no parallel_for at all; "shuffle": one thread, random order, random worker
    indices; "threads": `workers` threads at once; "gang": the same and the host says so, "one by one": it says so and
    it is not true; results must not depend on it. "failing": every call fails.
    poll(done, total) -> int cancels a run when non-zero.
    externals: by name, functions of f32 arrays, inputs then outputs, that the model calls; they return a status or None.
    """

    def __init__(self, path, variant=None, workers=1, schedule=None, seed=0, poll=None, externals=None):
        self.path = path
        cuda.prepare(path)
        self.library = load(path)
        self.schedule = schedule or ("serial" if workers == 1 else "threads")
        self.workers = workers
        self.random = random.Random(seed)
        self.memory = {}
        self.poll = poll
        self.host = Host(sizeof(Host), GANG if self.schedule in ("gang", "one by one") else 0, 1 if self.schedule == "serial" else workers, 0, None, AllocFn(self._alloc),
                         FreeFn(self._free),
                         ParallelForFn(self._parallel_for) if self.schedule != "serial" else ParallelForFn(), None, None,
                         PollFn(lambda ctx, done, total: self.poll(done, total)) if poll else PollFn(),
                         self._resolver(externals) if externals is not None else ResolveFn())
        options = OpenOptions(sizeof(OpenOptions), variant.encode() if variant else None, None, 0, DLDevice(1, 0))
        self.handle = c_void_p()
        error = Error(sizeof(Error))
        if self.library.open(byref(self.host), byref(options), byref(self.handle), byref(error)) != OK:
            raise ModelError(error.code, error.text.decode())
        self.variant = self.library.variant(self.handle).decode()
        self.entries = {self.library.entries[i].name.decode(): i for i in range(self.library.n_entries)}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.library.close(self.handle)
        for memory in self.memory.values():
            memory.check()
        assert error[0] or not self.memory, "close left %d allocations" % len(self.memory)

    def _resolver(self, externals):
        def array(tensor):
            shape = [tensor.shape[d] for d in range(tensor.ndim)]
            flat = np.lib.stride_tricks.as_strided(np.ctypeslib.as_array(ctypes.cast(tensor.data, POINTER(ctypes.c_float)), (1,)), shape,
                                                   [4 * tensor.strides[d] for d in range(tensor.ndim)])
            return flat

        def callback(function):
            return ExternalFn(lambda ctx, ins, n_in, outs, n_out: function(
                *[array(ins[i].contents) for i in range(n_in)], *[array(outs[i].contents) for i in range(n_out)]) or 0)

        self.callbacks = {name: callback(function) for name, function in externals.items()}
        return ResolveFn(lambda ctx, name: ctypes.cast(self.callbacks[name.decode()], c_void_p).value
                         if name.decode() in self.callbacks else None)

    def _alloc(self, ctx, device, size, align):
        memory = Guarded(size, max(align, 1), name="allocation")
        self.memory[memory.address] = memory
        return memory.address

    def _free(self, ctx, device, address):
        memory = self.memory.pop(address)
        memory.check()
        memory.free()

    def _parallel_for(self, ctx, tasks, fn, arg):
        if self.schedule == "failing":
            return 77
        if self.schedule == "one by one":
            return max(fn(arg, task, 0) for task in range(tasks))
        if self.schedule == "shuffle":
            order = list(range(tasks))
            self.random.shuffle(order)
            for task in order:
                status = fn(arg, task, self.random.randrange(self.workers))
                if status:
                    return status
            return 0
        lock, next_task, failures = threading.Lock(), iter(range(tasks)), []

        def work(worker):
            while not failures:
                with lock:
                    task = next(next_task, None)
                if task is None:
                    return
                status = fn(arg, task, worker)
                if status:
                    failures.append(status)

        others = [threading.Thread(target=work, args=(w,)) for w in range(1, min(self.workers, tasks))]
        for thread in others:
            thread.start()
        work(0)
        for thread in others:
            thread.join()
        return failures[0] if failures else 0

    def checked(self, function, *arguments):
        """Calls library.function(model, ..., error); ModelError unless ATTN_OK."""
        error = Error(sizeof(Error))
        status = getattr(self.library, function)(self.handle, *arguments, byref(error))
        if status != OK:
            assert error.code == status and error.text, "%s: status %d with error %d '%s'" % (
                function, status, error.code, error.text.decode())
            raise ModelError(status, error.text.decode())

    def call_size(self, function, *arguments):
        """The same for functions that return bytes, 0 being the failure."""
        error = Error(sizeof(Error))
        size = getattr(self.library, function)(self.handle, *arguments, byref(error))
        if size == 0:
            raise ModelError(error.code, error.text.decode())
        return size

    def run(self, entry, inputs, state=None, slots=None, dims=None, missing_workspace=0, replace_outputs=None, skip=(),
            device=None):
        """Runs an entry on {name: array} (absent: left out) and returns {name: array}.

        dims: {name: size} of dimensions that no input carries. missing_workspace: bytes to hold back.
        replace_outputs: {name: (shape, code)} instead of what the entry declares; for tests of errors. skip: names of outputs
        that are left out. device: a cuda.Device, which lends memory for those tensors that it wants.
        """
        index = self.entries[entry]
        info = self.library.entries[index]
        names = [info.inputs[i].name.decode() for i in range(info.n_in)]
        unknown = set(inputs) - set(names)
        assert not unknown, "%s has no input %s, only %s" % (entry, sorted(unknown), names)
        given = [Tensor(n, inputs[n], strided=info.inputs[i].flags & STRIDED) if inputs.get(n) is not None else None
                 for i, n in enumerate(names)]
        ins = (POINTER(DLTensor) * max(1, len(given)))(*[pointer(t.dl) if t else POINTER(DLTensor)() for t in given])
        slot_array = (c_int32 * len(slots))(*slots) if slots is not None else None
        call = Call(sizeof(Call), info.n_in, info.n_out, ins, None, state.handle if state else None, slot_array)
        found = (c_int64 * max(1, info.n_dims))()
        self.checked("infer_dims", index, byref(call), found)
        for d in range(info.n_dims):
            found[d] = (dims or {}).get(info.dims[d].name.decode(), found[d])
        results = []
        for i in range(info.n_out):
            out = info.outputs[i]
            shape = [out.dims[d] if out.dims[d] >= 0 else found[-1 - out.dims[d]] for d in range(out.rank)]
            code = (out.dtype.code, out.dtype.bits)
            shape, code = (replace_outputs or {}).get(out.name.decode(), (shape, code))
            results.append(None if out.name.decode() in skip else Tensor(out.name.decode(), shape=shape, code=code))
        call.outputs = (POINTER(DLTensor) * max(1, len(results)))(*[pointer(t.dl) if t else POINTER(DLTensor)() for t in results])
        size = self.call_size("workspace_bytes", index, found)
        assert size >= 64, "workspace_bytes promises at least 64, got %d" % size
        if skip or any(t and t.array.dtype == np.int32 for t in given):  # else what run asks for
            size = self.call_size("call_workspace_bytes", index, byref(call))
        workspace = Guarded(size - missing_workspace, 64, name="workspace")
        results = [t for t in results if t]
        call.workspace, call.workspace_bytes = workspace.address, workspace.size
        buffers = [t.memory for t in given if t] + [t.memory for t in results] + [workspace]
        buffers += [state.memory] if state else []
        if device:
            call.stream = device.lend([t for t in given if t], results)
        try:
            self.checked("run", index, byref(call))
            if device:
                device.fetch(results)
            return {t.memory.name: t.array.copy() for t in results}
        finally:
            for memory in buffers:
                memory.check()
                if not state or memory is not state.memory:
                    memory.free()


def variants(path):
    """Names of the variants in a file, best first, and of those that this CPU runs."""
    library = load(path)
    names = [library.variants[i].name.decode() for i in range(library.n_variants)]
    here = []
    for name in names:
        try:
            with Model(path, name):
                here.append(name)
        except ModelError as error:
            if error.code != CPU_UNSUPPORTED:
                raise
    return names, here
