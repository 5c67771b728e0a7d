"""A compiled model file driven and timed from Python through libattn_runtime: its persistent threads, memory and sessions."""
import ctypes
import os
import sys
import time
from ctypes import POINTER, Structure, byref, c_int32, c_int64, c_uint32, c_uint64, c_void_p, pointer, sizeof

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "test", "e2e"))
import model_file as mf  # the structs of attn_abi.h


class RuntimeOptions(Structure):
    _fields_ = [("size", c_uint32), ("threads", c_uint32), ("flags", c_uint32), ("log_level", c_int32), ("progress", c_void_p),
                ("progress_ctx", c_void_p)]


class StateMemory(Structure):
    _fields_ = [("state", c_void_p), ("memory", c_void_p), ("bytes", c_uint64)]


class Runtime:
    def __init__(self, build, threads):
        self.c = ctypes.CDLL(os.path.join(build, "lib", "libattn_runtime.so"))
        self.c.attn_runtime_host.restype, self.c.attn_file_library.restype = c_void_p, POINTER(mf.Library)
        handle = c_void_p()
        self.call(self.c.attn_runtime_create, byref(RuntimeOptions(sizeof(RuntimeOptions), threads)), byref(handle))
        self.host = c_void_p(self.c.attn_runtime_host(handle))

    def call(self, function, *arguments):
        error = mf.Error(sizeof(mf.Error))
        if function(*arguments, byref(error)) != mf.OK:
            sys.exit("bench: " + error.text.decode())


def aligned(array):
    """A copy that begins at a multiple of 64, as PyTorch's do."""
    room = np.empty(array.nbytes + 64, np.uint8)
    begin = -room.ctypes.data % 64
    copy = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class TimedModel:
    """A file with calls of its entries; all of them together are what is timed."""

    def __init__(self, runtime, path, variant=None):
        self.runtime, self.best, self.calls, self.state = runtime, None, [], StateMemory()
        file, self.model, self.session = c_void_p(), c_void_p(), c_void_p()
        runtime.call(runtime.c.attn_file_load, path.encode(), byref(file))
        runtime.call(runtime.c.attn_file_open, file, runtime.host, variant and variant.encode(), byref(self.model))
        self.library = runtime.c.attn_file_library(file)
        entries = self.library.contents.entries
        self.entries = {entries[i].name.decode(): i for i in range(self.library.contents.n_entries)}
        runtime.call(runtime.c.attn_session_create, self.library, self.model, runtime.host, byref(self.session))
        self.variant = self.library.contents.variant(self.model).decode()

    def create_state(self, slots, capacity):
        self.runtime.call(self.runtime.c.attn_state_create, self.library, self.model, self.runtime.host, c_uint32(slots),
                          c_uint64(capacity), c_uint32(0), byref(self.state))

    def state_op(self, verb, slot, value):
        self.runtime.call(self.library.contents.state_op, self.model, self.state.state, verb, slot, value, byref(c_int64()))

    def inputs(self, entry):
        """Names of an entry's inputs."""
        info = self.library.contents.entries[self.entries[entry]]
        return [info.inputs[i].name.decode() for i in range(info.n_in)]

    def add(self, inputs, shapes, entry=None, slots=1):
        """One more call, of this or the first entry, on arrays (None or nothing where an input is optional), for f32 results
        of these shapes; sequence i is in slot i. Returns the results."""
        index = self.entries[entry] if entry else 0
        inputs = [a if a is None else aligned(a) for a in inputs]
        results = [aligned(np.zeros(shape, np.float32)) for shape in shapes]

        def pointers(arrays, count):
            tensors = (POINTER(mf.DLTensor) * count)()
            for i, a in enumerate(arrays):
                if a is not None:
                    kind, shape = mf.DLDataType(*mf._CODES[a.dtype], 1), (c_int64 * a.ndim)(*a.shape)
                    tensors[i] = pointer(mf.DLTensor(a.ctypes.data, mf.DLDevice(1, 0), a.ndim, kind, shape, None, 0))
            return tensors

        n_in = self.library.contents.entries[index].n_in
        lists = pointers(inputs, n_in), pointers(results, len(results))
        numbers = (c_int32 * slots)(*range(slots)) if self.state.state else None
        call = mf.Call(sizeof(mf.Call), n_in, len(results), *lists, self.state.state, numbers)
        self.calls.append((call, results, inputs, index))
        return results

    def run(self):
        for call, _, _, index in self.calls:
            self.runtime.call(self.runtime.c.attn_session_run, self.session, c_uint32(index), byref(call))

    def measure(self, min_time, before=lambda: None):
        """Keeps the least ms of at least 3 runs after one to warm up, and of earlier measurements."""
        times, begin = [], time.perf_counter()
        while len(times) < 4 or time.perf_counter() - begin < min_time:
            before()
            start = time.perf_counter()
            self.run()
            times.append(1e3 * (time.perf_counter() - start))
        self.best = min(times[1:] + [self.best or times[1]])
        if not all(np.isfinite(result).all() for _, results, *_ in self.calls for result in results):
            sys.exit("bench: a result is not finite")
