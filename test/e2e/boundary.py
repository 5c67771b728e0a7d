# RUN: %python %s
"""What run, open and the rest refuse, on a compiled file: before anything is written, with a status and a message."""
import ctypes
import json
import os
import subprocess

import numpy as np

import model_file as mf
from harness import SOURCE, Model, Report, State, compile_module, each_variant

report = Report("boundary")
path = compile_module(os.path.join(SOURCE, "test", "fixtures", "gpt2", "f32"))
library = mf.load(path)
names = [library.entries[i].name.decode() for i in range(library.n_entries)]
report.expect("abi", library.abi == mf.ABI_VERSION and library.size >= ctypes.sizeof(mf.Library), "abi %d, size %d" % (library.abi, library.size))
report.expect("entries", {"forward", "prefill", "decode"} <= set(names), "got %s" % names)
report.expect("build id", len(library.build_id) == 32 and set(library.build_id) <= set(b"0123456789abcdef"), "got %r" % library.build_id)
report.expect("json", isinstance(json.loads(library.json.decode()), dict), "expected an object")
report.status("older ABI", mf.ABI_MISMATCH, mf.load, path, 0)
report.expect("newer ABI", mf.load(path, 99).abi == mf.ABI_VERSION, "expected the file's own version")
report.status("unknown variant", None, Model, path, "z80")

for variant in each_variant(path):
    with Model(path, variant) as model:
        ids = np.zeros((2, 5), np.int64)
        forward = lambda inputs, **more: model.run("forward", inputs, **more)
        report.status("missing input", mf.INVALID_ARGUMENT, forward, {})
        report.status("int8 ids", mf.DTYPE, forward, {"input_ids": ids.astype(np.int8)}, saying="input_ids: expected int64 or int32 [")
        report.status("float ids", mf.DTYPE, forward, {"input_ids": ids.astype(np.float32)})
        report.status("rank 1", mf.SHAPE, forward, {"input_ids": ids[0]})
        report.status("rank 3", mf.SHAPE, forward, {"input_ids": ids[None]})
        report.status("no batch", mf.SHAPE, forward, {"input_ids": ids[:0]})
        report.status("no tokens", mf.SHAPE, forward, {"input_ids": ids[:, :0]})
        report.status("two batches", mf.SHAPE, forward, {"input_ids": ids, "attention_mask": ids[:1]})
        report.status("workspace one byte short, int32", mf.WORKSPACE, forward, {"input_ids": ids.astype(np.int32)}, missing_workspace=1)
        report.status("workspace one byte short, no output", mf.WORKSPACE, forward, {"input_ids": ids}, missing_workspace=1, skip=["logits"])
        report.status("workspace one byte short", mf.WORKSPACE, forward, {"input_ids": ids}, missing_workspace=1)
        shape = [2, 5, 97]
        for wrong in ([2, 5, 96], [1, 5, 97], [2, 6, 97], [2, 97]):
            report.status("output %s" % wrong, mf.SHAPE, forward, {"input_ids": ids}, replace_outputs={"logits": (wrong, (2, 32))})
        report.status("output of float64", mf.DTYPE, forward, {"input_ids": ids}, replace_outputs={"logits": (shape, (2, 64))})
        # Sizes that would overflow are refused, not wrapped around.
        dims = (ctypes.c_int64 * 2)(2**40, 2**40)
        report.status("workspace of 2^80", None, model.call_size, "workspace_bytes", model.entries["forward"], dims)
        dims = (ctypes.c_int64 * 2)(-1, 5)
        report.status("workspace of -1", None, model.call_size, "workspace_bytes", model.entries["forward"], dims)
        for slots, capacity, page in [(0, 40, 0), (1, 0, 0), (1, 2**63, 0), (2**32 - 1, 2**40, 64), (1, 40, 63), (1, 40, 2**31)]:
            report.status("state of %d x %d in %d" % (slots, capacity, page), None, model.call_size, "state_bytes", slots, capacity, page)
        size = model.call_size("state_bytes", 1, 40, 0)
        memory = mf.Guarded(size, 64)
        handle = mf.c_void_p()
        report.status("state memory one byte short", None, model.checked, "state_init", memory.address, size - 1, 1, 40, 0, mf.byref(handle))
        report.status("state memory misaligned", None, model.checked, "state_init", memory.address + 4, size, 1, 40, 0, mf.byref(handle))
        memory.check()
        # Every bit flipped in the header of a state is either harmless or refused: never a crash.
        state = State(model, 1, 40)
        model.run("prefill", {"input_ids": ids[:1]}, state)
        for at in range(min(256, state.memory.size)):
            memory.bytes[:] = state.memory.bytes
            memory.bytes[at] ^= 0xFF
            try:
                damaged = State.__new__(State)
                damaged.model, damaged.memory, damaged.handle = model, memory, mf.c_void_p()
                model.checked("state_attach", memory.address, size, mf.byref(damaged.handle))
                model.run("decode", {"input_ids": ids[:1, :1]}, damaged)
            except mf.ModelError:
                pass
        report.expect("damaged states", True, "")
        state.close()
        memory.free()
    for schedule, workers in (("shuffle", 4), ("threads", 4), ("gang", 2), ("gang", 5), ("one by one", 2)):
        with Model(path, variant, workers=workers, schedule=schedule) as model, Model(path, variant) as plain:
            ids = report.random.integers(0, 97, (3, 40))
            report.equal("%s %s" % (variant, schedule), model.run("forward", {"input_ids": ids})["logits"], plain.run("forward", {"input_ids": ids})["logits"])
    # Cancelled and failing inside a gang.
    with Model(path, variant, workers=2, schedule="gang", poll=lambda done, total: done == 3) as model:
        report.status(variant + " cancelled gang", mf.CANCELLED, model.run, "forward", {"input_ids": ids})
    with Model(path, variant, workers=2, schedule="gang") as model:
        report.status(variant + " failing gang", mf.RANGE, model.run, "forward", {"input_ids": ids + 97})
    # A host whose tasks fail.
    with Model(path, variant, workers=2, schedule="failing") as model:
        report.status(variant + " parallel_for fails", mf.CALLBACK, model.run, "forward", {"input_ids": ids})
    calls = []
    with Model(path, variant, poll=lambda done, total: calls.append((done, total)) or 0) as model:
        model.run("forward", {"input_ids": ids})
    report.expect("progress", calls and all(a[0] <= b[0] for a, b in zip(calls, calls[1:])) and all(d <= t for d, t in calls), "got %s" % calls[:5])

# The file itself: nothing needed, one symbol, no constructors, the same bytes twice.
readelf = os.path.join("/usr/lib/llvm-22/bin", "llvm-readelf")
if os.path.exists(readelf):
    def read(*flags):
        return subprocess.run([readelf, *flags, path], capture_output=True, check=True).stdout.decode()

    report.expect("no dependencies", "(NEEDED)" not in read("-d"), read("-d"))
    exported = [line.split()[-1] for line in read("--dyn-syms", "-W").splitlines() if " GLOBAL " in line or " WEAK " in line]
    report.expect("one symbol", exported == ["attn_query"], "got %s" % exported)
    report.expect("no constructors", not any(name in read("-S", "-W") for name in (".init_array", ".ctors", ".preinit_array")), read("-S", "-W"))
    report.expect("no text relocations, no executable stack", "TEXTREL" not in read("-d") and " RWE " not in read("-l", "-W"), read("-l", "-W"))
with open(path, "rb") as first, open(compile_module(os.path.join(SOURCE, "test", "fixtures", "gpt2", "f32"), cache=False), "rb") as second:
    report.expect("compiling twice gives the same bytes", first.read() == second.read(), "they differ")
report.finish()
