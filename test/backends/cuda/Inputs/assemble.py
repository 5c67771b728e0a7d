"""assemble.py PTXAS FILE DIRECTORY: assembles each module of what --emit=ptx printed; a line for each kernel.

blocks: how many a multiprocessor of an A100 or H100 holds at once; the rest are a block's, but registers, which are a
thread's.
"""
import os
import re
import subprocess
import sys

# A multiprocessor's; CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
REGISTERS, WARPS, BLOCKS, PARTITIONS = 65536, 64, 32, 4
SHARED = {"sm_80": 164 << 10, "sm_90a": 228 << 10}
SHARED_OF_SYSTEM = 1024  # for each block
SHARED_UNIT, REGISTER_UNIT = 128, 256  # what is given is a multiple of these


def round_up(n, unit):
    return -(-n // unit) * unit


def blocks_of(chip, registers, threads, shared):
    """Of one multiprocessor, whose quarters each have whole warps."""
    warps = -(-threads // 32)
    by_registers = REGISTERS // PARTITIONS // round_up(32 * registers, REGISTER_UNIT) * PARTITIONS // warps
    by_shared = SHARED[chip] // round_up(shared + SHARED_OF_SYSTEM, SHARED_UNIT)
    return min(BLOCKS, WARPS // warps, by_registers, by_shared)


ptxas, source, directory = sys.argv[1:]
with open(source) as file:
    modules = re.split(r"(?=^\.version)", file.read(), flags=re.M)[1:]
kernels = spilling = 0
for module in modules:
    chip = re.search(r"^\.target (\w+)", module, re.M).group(1)
    threads = dict(re.findall(r"^\.visible \.entry (\w+)\(.*?^\.maxntid (\d+)", module, re.M | re.S))
    dynamic = dict(re.findall(r"^// (\w+): (\d+) bytes of dynamic shared memory$", module, re.M))
    path = os.path.join(directory, chip + ".ptx")
    with open(path, "w") as file:
        file.write(module)
    command = [ptxas, "-v", "-arch=" + chip, path, "-o", path + ".cubin"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    print("%-24s registers threads shared memory blocks spills" % chip)
    assert "C75" not in done.stderr, done.stderr  # wgmma that is serialised
    for report in done.stderr.split("Compiling entry function ")[1:]:
        name = re.match(r"'(\w+)'", report).group(1)
        stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report).groups()
        registers = int(re.search(r"Used (\d+) registers", report).group(1))
        static = re.search(r"(\d+) bytes smem", report)
        shared = int(dynamic[name]) + (int(static.group(1)) if static else 0)
        blocks = blocks_of(chip, registers, int(threads[name]), shared)
        assert blocks, "%s: no block fits on %s" % (name, chip)
        kernels += 1
        spilling += stores != "0" or loads != "0"
        print("  %-22s %9d %7s %13d %6d %s, %s" % (name, registers, threads[name], shared, blocks, stores, loads))
assert kernels == sum(len(re.findall(r"\.entry ", module)) for module in modules)
print("%d kernels, %d spill" % (kernels, spilling))
