# RUN: %python %s
"""Threads of the emulated device: grids, barriers, shuffles, votes, shared memory; and faults of each."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import numpy as np
from emulated import SEED, Device, expect_stopped

random = np.random.default_rng(SEED)
device = Device()
print("seed", SEED)

# ---- A sum of vectors: the grid, a tail -----------------------------------------------------------------------

ADD = """
gpu.module @kernels {
  llvm.func @add(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %out: !llvm.ptr<1>, %n: i32)
      attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 128>} {
    %block = nvvm.read.ptx.sreg.ctaid.x : i32
    %size = nvvm.read.ptx.sreg.ntid.x : i32
    %thread = nvvm.read.ptx.sreg.tid.x : i32
    %first = arith.muli %block, %size : i32
    %i = arith.addi %first, %thread : i32
    %inside = arith.cmpi TEST, %i, %n : i32
    llvm.cond_br %inside, ^then, ^end
  ^then:
    %pa = llvm.getelementptr %a[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    %pb = llvm.getelementptr %b[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    %po = llvm.getelementptr %out[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    %x = llvm.load %pa : !llvm.ptr<1> -> f32
    %y = llvm.load %pb : !llvm.ptr<1> -> f32
    %sum = arith.addf %x, %y : f32
    llvm.store %sum, %po : f32, !llvm.ptr<1>
    llvm.br ^end
  ^end:
    llvm.return
  }
}
"""
add = device.kernel(ADD.replace("TEST", "slt"), "add")
for n in [1, 127, 128, 1000]:
    a, b = random.standard_normal((2, n)).astype(np.float32)
    out = np.zeros(n, np.float32)
    add(((n + 127) // 128,), (128,), [a, b, out, np.int32(n)])
    assert np.array_equal(out, a + b), n

# Planted: a store behind the end, within the last 256 bytes and, with many more threads, beyond.
wrong = device.kernel(ADD.replace("TEST", "sle"), "add")
a, b, out = np.zeros((3, 100), np.float32)
expect_stopped(lambda: wrong((1,), (128,), [a, b, out, np.int32(100)]),
               "out of bounds: ", "bytes after the end of an allocation of 400 bytes")
expect_stopped(lambda: add((64,), (128,), [a, b, out, np.int32(8000)]),
               "bytes after the end of an allocation of 400 bytes",
               "kernel 'add', block (")

# ---- The sum of a block: shuffles, shared memory, a barrier -----------------------------------------------------

REDUCE = """
llvm.mlir.global internal @partial() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<WARPS x f32>
llvm.func @reduce(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) attributes {nvvm.kernel} {
  %mask = llvm.mlir.constant(MASK : i32) : i32
  %clamp = llvm.mlir.constant(31 : i32) : i32
  %thread = nvvm.read.ptx.sreg.tid.x : i32
  %size = nvvm.read.ptx.sreg.ntid.x : i32
  %block = nvvm.read.ptx.sreg.ctaid.x : i32
  %lane = nvvm.read.ptx.sreg.laneid : i32
  %first = arith.muli %block, %size : i32
  %i = arith.addi %first, %thread : i32
  %p = llvm.getelementptr %in[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
  %x = llvm.load %p : !llvm.ptr<1> -> f32
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c5 = arith.constant 5 : i32
  %c16 = arith.constant 16 : i32
  %quit = arith.constant QUIT : i32
  %leaves = arith.cmpi eq, %thread, %quit : i32
  cf.cond_br %leaves, ^end, ^sum
^sum:
  %sum:2 = scf.while (%offset = %c16, %s = %x) : (i32, f32) -> (i32, f32) {
    %more = arith.cmpi ne, %offset, %c0 : i32
    scf.condition(%more) %offset, %s : i32, f32
  } do {
  ^bb0(%offset: i32, %s: f32):
    %other = nvvm.shfl.sync bfly %mask, %s, %offset, %clamp : f32 -> f32
    %next = arith.addf %s, %other : f32
    %half = arith.shrui %offset, %c1 : i32
    scf.yield %half, %next : i32, f32
  }
  %partial = llvm.mlir.addressof @partial : !llvm.ptr<3>
  %warp = arith.shrui %thread, %c5 : i32
  %mine = llvm.getelementptr %partial[%warp] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
  %isFirst = arith.cmpi eq, %lane, %c0 : i32
  scf.if %isFirst {
    llvm.store %sum#1, %mine : f32, !llvm.ptr<3>
  }
  BARRIER
  %isThread0 = arith.cmpi eq, %thread, %c0 : i32
  cf.cond_br %isThread0, ^total, ^end
^total:
  %warps = arith.shrui %size, %c5 : i32
  %zero = arith.constant 0.0 : f32
  %total = scf.for %w = %c0 to %warps step %c1 iter_args(%t = %zero) -> f32 : i32 {
    %other = llvm.getelementptr %partial[%w] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
    %value = llvm.load %other : !llvm.ptr<3> -> f32
    %u = arith.addf %t, %value : f32
    scf.yield %u : f32
  }
  %q = llvm.getelementptr %out[%block] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
  llvm.store %total, %q : f32, !llvm.ptr<1>
  cf.br ^end
^end:
  llvm.return
}
"""


def reduce_kernel(mask=-1, quit=-1, barrier="nvvm.barrier0", warps=32):
    text = REDUCE.replace("MASK", str(mask)).replace("QUIT", str(quit)).replace("BARRIER", barrier)
    return device.kernel(text.replace("WARPS", str(warps)), "reduce")


def sums(kernel, threads, blocks=3):
    values = random.integers(-8, 8, (blocks, threads)).astype(np.float32)
    out = np.zeros(blocks, np.float32)
    kernel((blocks,), (threads,), [values.reshape(-1), out])
    return out, values.sum(1)


reduce = reduce_kernel()
for threads in [32, 96, 1024]:
    assert np.array_equal(*sums(reduce, threads)), threads

# Planted: a lane that left before the shuffle, one that is not in the mask, and one that another one expects.
expect_stopped(lambda: sums(reduce_kernel(quit=5), 64), "shfl.sync: lane", "reads lane 5, which has exited")
expect_stopped(lambda: sums(reduce_kernel(mask=0x7FFFFFFF), 64), "lane 31 is not in mask 0x7fffffff")
# Planted: no barrier. Shared memory is poison before it is written: some order shows it.
got = [sums(reduce_kernel(barrier=""), 256, blocks=20) for _ in range(1)]
assert any(not np.array_equal(*pair) for pair in got), "no order showed the missing barrier"
# Planted: a named barrier that waits for more threads than come.
named = ("%id = arith.constant 3 : i32\n %count = arith.constant COUNT : i32\n"
         "nvvm.barrier id = %id number_of_threads = %count")
assert np.array_equal(*sums(reduce_kernel(barrier=named.replace("COUNT", "64")), 64))
expect_stopped(lambda: sums(reduce_kernel(barrier=named.replace("COUNT", "96")), 128),
               "deadlock: no thread can go on", "wait in bar.sync 3, where 32 of 96 threads have arrived")
expect_stopped(lambda: sums(reduce_kernel(barrier=named.replace("COUNT", "40")), 64), "expected whole warps")
# Planted: shared memory that is too small.
expect_stopped(lambda: sums(reduce_kernel(warps=1), 1024), "wrote to shared address 4: the block has 4 bytes")

# ---- Votes, elections, shuffles of each kind ----------------------------------------------------------------------

WARP = """
llvm.func @warp(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) attributes {nvvm.kernel} {
  %mask = arith.constant -1 : i32
  %c0 = arith.constant 0 : i32
  %c3 = arith.constant 3 : i32
  %clampUp = arith.constant 0 : i32
  %clamp = arith.constant 31 : i32
  %segments = arith.constant 0x181f : i32
  %lane = nvvm.read.ptx.sreg.laneid : i32
  %p = llvm.getelementptr %in[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
  %x = llvm.load %p : !llvm.ptr<1> -> i32
  %isZero = arith.cmpi eq, %x, %c0 : i32
  %0 = nvvm.shfl.sync up %mask, %x, %c3, %clampUp : i32 -> i32
  %1 = nvvm.shfl.sync down %mask, %x, %c3, %clamp : i32 -> i32
  %2 = nvvm.shfl.sync idx %mask, %x, %c3, %segments : i32 -> i32
  %3 = nvvm.vote.sync ballot %mask, %isZero -> i32
  %any = nvvm.vote.sync any %mask, %isZero -> i1
  %4 = arith.extui %any : i1 to i32
  %all = nvvm.vote.sync all %mask, %isZero -> i1
  %5 = arith.extui %all : i1 to i32
  %6 = nvvm.redux.sync add %x, %mask : i32 -> i32
  %7 = nvvm.redux.sync max %x, %mask : i32 -> i32
  %elected = nvvm.elect.sync -> i1
  %8 = arith.extui %elected : i1 to i32
  %pair = nvvm.shfl.sync down %mask, %x, %c3, %clamp {return_value_and_is_valid} : i32 -> !llvm.struct<(i32, i1)>
  %valid = llvm.extractvalue %pair[1] : !llvm.struct<(i32, i1)>
  %9 = arith.extui %valid : i1 to i32
STORES
  llvm.return
}
"""
stores = ""
for i in range(10):
    stores += """  %%o%d = arith.constant %d : i32
  %%i%d = arith.addi %%o%d, %%lane : i32
  %%q%d = llvm.getelementptr %%out[%%i%d] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
  llvm.store %%%d, %%q%d : i32, !llvm.ptr<1>
""" % (i, 32 * i, i, i, i, i, i, i)
x = random.integers(-3, 3, 32).astype(np.int32)
out = np.zeros((10, 32), np.int32)
device.kernel(WARP.replace("STORES", stores), "warp")((1,), (32,), [x, out])
lane = np.arange(32)
expected = [
    np.where(lane >= 3, x[lane - 3], x), np.where(lane + 3 < 32, x[(lane + 3) % 32], x), x[lane // 8 * 8 + 3],
    np.full(32, np.uint32(sum(1 << i for i in range(32) if x[i] == 0))).view(np.int32), np.full(32, (x == 0).any()),
    np.full(32, (x == 0).all()), np.full(32, x.sum()), np.full(32, x.max()),
]
for i, row in enumerate(expected):
    assert np.array_equal(out[i], row), (i, out[i], row)
assert out[8].sum() == 1 and np.array_equal(out[9], lane + 3 < 32)

# ---- Vectors must be aligned as the kernel says -----------------------------------------------------------------

VECTOR = """
llvm.func @copy(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %offset: i64) attributes {nvvm.kernel} {
  %p = llvm.getelementptr %in[%offset] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32
  %x = llvm.load %p {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
  llvm.store %x, %out {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
  llvm.return
}
"""
copy = device.kernel(VECTOR, "copy")
values, out = np.arange(32, dtype=np.float32), np.zeros(4, np.float32)
copy((1,), (1,), [values, out, np.int64(4)])
assert np.array_equal(out, values[4:8])
expect_stopped(lambda: copy((1,), (1,), [values, out, np.int64(1)]),
               "kernel.mlir:4: address", "is not aligned to 16 bytes", "CUresult 716")
