# RUN: %python %s
"""wgmma, TMA and mbarriers: a warp-specialised product, copies of boxes with each swizzle; and faults of each."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import numpy as np
from emulated import SEED, Device, Stopped, Tensor, bf16_bits, bf16_values, expect_stopped, refused

random = np.random.default_rng(SEED)
device = Device()
print("seed", SEED)

# ---- Boxes: load, store --------------------------------------------------------------------------------------

MAP = "!llvm.ptr {llvm.byval = !llvm.array<16 x i64>, nvvm.grid_constant, llvm.align = 64 : i64}"
COPY = """
llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
llvm.func @copy(%from: MAP, %to: MAP, %x: i32, %y: i32) attributes {nvvm.kernel} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %bytes = arith.constant BYTES : i32
  %ticks = arith.constant 1000 : i32
  %smem = llvm.mlir.addressof @smem : !llvm.ptr<3>
  %bar = llvm.getelementptr %smem[BYTES] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %remote = llvm.addrspacecast %smem : !llvm.ptr<3> to !llvm.ptr<7>
  nvvm.mbarrier.init %bar, %c1 : !llvm.ptr<3>, i32
  nvvm.fence.mbarrier.init
  nvvm.mbarrier.arrive.expect_tx %bar, %bytes : !llvm.ptr<3>, i32
  nvvm.cp.async.bulk.tensor.shared.cluster.global %remote, %from, %bar, box[%x, %y] : !llvm.ptr<7>, !llvm.ptr
  nvvm.mbarrier.try_wait.parity %bar, %c0, %ticks : !llvm.ptr<3>, i32, i32
  nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
  nvvm.cp.async.bulk.tensor.global.shared.cta %to, %smem, box[%x, %y] : !llvm.ptr, !llvm.ptr<3>
  nvvm.cp.async.bulk.commit.group
  nvvm.cp.async.bulk.wait_group 0
  llvm.return
}
""".replace("MAP", MAP)


def copy_box(text, source, x, y, width, height, swizzle):
    size = width * height * 4
    kernel = device.kernel(text.replace("BYTES", str(size)), "copy")
    target = np.zeros_like(source)
    box = (width, height)
    tensors = [Tensor(array, box, swizzle) for array in (source, target)]
    kernel((1,), (1,), tensors + [np.int32(x), np.int32(y)], shared=size + 8)
    return target


source = random.standard_normal((20, 44)).astype(np.float32)
for width, swizzle in [(8, 32), (16, 64), (32, 128), (40, 0)]:
    for x, y in [(4, 8), (36, 16), (-4, -2)]:
        expected = np.zeros_like(source)
        part = np.s_[max(y, 0):y + 8, max(x, 0):x + width]
        expected[part] = source[part]
        assert np.array_equal(copy_box(COPY, source, x, y, width, 8, swizzle), expected), (width, swizzle, x, y)

SIZE = "%bytes = arith.constant BYTES"
WAIT = "  nvvm.mbarrier.try_wait.parity %bar, %c0, %ticks : !llvm.ptr<3>, i32, i32\n"
box = (source, 4, 8, 32, 8, 128)
# Planted: bytes that never come, bytes that nobody waits for, no wait at all.
expect_stopped(lambda: copy_box(COPY.replace(SIZE, "%bytes = arith.constant 2048"), *box),
               "deadlock", "wait in mbarrier.try_wait of parity 0 of the mbarrier at shared address 1024",
               "which lacks 0 arrivals and 1024 bytes")
expect_stopped(lambda: copy_box(COPY.replace(SIZE, "%bytes = arith.constant 512"), *box),
               "deadlock", "which lacks 0 arrivals and -512 bytes")
assert not np.array_equal(copy_box(COPY.replace(WAIT, ""), *box)[8:16, 4:36], source[8:16, 4:36])
expect_stopped(lambda: copy_box(COPY.replace("  nvvm.cp.async.bulk.commit.group\n", ""), *box),
               "exits before its bulk copies have read shared memory")
expect_stopped(lambda: copy_box(COPY.replace("  nvvm.mbarrier.init %bar, %c1 : !llvm.ptr<3>, i32\n", ""), *box),
               "there is no mbarrier at shared address 1024")
# Planted: no proxy fence, which only the text shows.
assert "expected nvvm.fence.proxy" in refused(COPY.replace("BYTES", "1024").replace("  nvvm.fence.proxy", "  // "))

# ---- A product: one producer warpgroup, one consumer, two stages of 64 columns -------------------------------

# Shared memory: for each stage a [64 m, 64 k], b [64 n, 64 k] or [64 k, 64 n], 8 KiB each, rows of 128 bytes, swizzled;
# then the mbarriers full[2], empty[2].
ROOM = 4 * 8192 + 32
D = "!llvm.struct<(%s)>" % ", ".join(["f32"] * 32)
PRODUCT = """
llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
llvm.func @product(%a: MAP, %b: MAP, %out: !llvm.ptr<1>, %m: i32, %n: i32, %steps: i32)
    attributes {nvvm.kernel, nvvm.maxntid = array<i32: 256>, nvvm.minctasm = 1 : i32} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c3 = arith.constant 3 : i32
  %c5 = arith.constant 5 : i32
  %c31 = arith.constant 31 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %c16384 = arith.constant 16384 : i32
  %bytes = arith.constant 16384 : i32
  %ticks = arith.constant 100000 : i32
  %smem = llvm.mlir.addressof @smem : !llvm.ptr<3>
  %full0 = llvm.getelementptr %smem[32768] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %full1 = llvm.getelementptr %smem[32776] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %empty0 = llvm.getelementptr %smem[32784] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %empty1 = llvm.getelementptr %smem[32792] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %thread = nvvm.read.ptx.sreg.tid.x : i32
  %bx = nvvm.read.ptx.sreg.ctaid.x : i32
  %by = nvvm.read.ptx.sreg.ctaid.y : i32
  %row0 = arith.muli %by, %c64 : i32
  %column0 = arith.muli %bx, %c64 : i32
  %isThread0 = arith.cmpi eq, %thread, %c0 : i32
  scf.if %isThread0 {
    nvvm.mbarrier.init %full0, %c1 : !llvm.ptr<3>, i32
    nvvm.mbarrier.init %full1, %c1 : !llvm.ptr<3>, i32
    nvvm.mbarrier.init %empty0, %c128 : !llvm.ptr<3>, i32
    nvvm.mbarrier.init %empty1, %c128 : !llvm.ptr<3>, i32
    nvvm.fence.mbarrier.init
  }
  nvvm.barrier0
  %isProducer = arith.cmpi ult, %thread, %c128 : i32
  scf.if %isProducer {
    nvvm.setmaxregister decrease 24
    scf.if %isThread0 {
      scf.for %step = %c0 to %steps step %c1 : i32 {
        %stage = arith.andi %step, %c1 : i32
        %round0 = arith.shrui %step, %c1 : i32
        %round = arith.andi %round0, %c1 : i32
        %before = arith.xori %round, %c1 : i32
        %full = llvm.getelementptr %full0[%stage] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i64
        %empty = llvm.getelementptr %empty0[%stage] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i64
        nvvm.mbarrier.try_wait.parity %empty, %before, %ticks : !llvm.ptr<3>, i32, i32 // empty
        nvvm.mbarrier.arrive.expect_tx %full, %bytes : !llvm.ptr<3>, i32
        %place = arith.muli %stage, %c16384 : i32
        %toA = llvm.getelementptr %smem[%place] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
        %toB = llvm.getelementptr %toA[8192] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
        %sharedA = llvm.addrspacecast %toA : !llvm.ptr<3> to !llvm.ptr<7>
        %sharedB = llvm.addrspacecast %toB : !llvm.ptr<3> to !llvm.ptr<7>
        %k = arith.muli %step, %c64 : i32
        nvvm.cp.async.bulk.tensor.shared.cluster.global %sharedA, %a, %full, box[%k, %row0]
            : !llvm.ptr<7>, !llvm.ptr
        nvvm.cp.async.bulk.tensor.shared.cluster.global %sharedB, %b, %full, box[BBOX]
            : !llvm.ptr<7>, !llvm.ptr
      }
    }
  } else {
    nvvm.setmaxregister increase 240
    %zero = llvm.mlir.zero : D
    %d = scf.for %step = %c0 to %steps step %c1 iter_args(%acc = %zero) -> D : i32 {
      %stage = arith.andi %step, %c1 : i32
      %round0 = arith.shrui %step, %c1 : i32
      %round = arith.andi %round0, %c1 : i32
      %full = llvm.getelementptr %full0[%stage] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i64
      %empty = llvm.getelementptr %empty0[%stage] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i64
      nvvm.mbarrier.try_wait.parity %full, %round, %ticks : !llvm.ptr<3>, i32, i32 // full
      %place = arith.muli %stage, %c16384 : i32
      %fromA = llvm.getelementptr %smem[%place] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %fromB = llvm.getelementptr %fromA[8192] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
      %mask = arith.constant 0x3ffff : i64
      %four = arith.constant 4 : i64
      %formatA = arith.constant FORMATA : i64
      %formatB = arith.constant FORMATB : i64
      %a0 = llvm.ptrtoint %fromA : !llvm.ptr<3> to i64
      %a1 = arith.andi %a0, %mask : i64
      %a2 = arith.shrui %a1, %four : i64
      %descA = arith.ori %a2, %formatA : i64
      %b0 = llvm.ptrtoint %fromB : !llvm.ptr<3> to i64
      %b1 = arith.andi %b0, %mask : i64
      %b2 = arith.shrui %b1, %four : i64
      %descB = arith.ori %b2, %formatB : i64
      nvvm.wgmma.fence.aligned
PRODUCTS
      nvvm.wgmma.commit.group.sync.aligned
      nvvm.wgmma.wait.group.sync.aligned 0
      nvvm.mbarrier.arrive %empty : !llvm.ptr<3>
      scf.yield %d.4 : D
    }
    // Element i of matrix j: row 16 warp + lane / 4 + 8 (i / 2), column 8 j + 2 (lane % 4) + i % 2.
    %lane = arith.andi %thread, %c31 : i32
    %warp0 = arith.shrui %thread, %c5 : i32
    %warp = arith.andi %warp0, %c3 : i32
    %group = arith.shrui %lane, %c2 : i32
    %pair0 = arith.andi %lane, %c3 : i32
    %pair = arith.muli %pair0, %c2 : i32
    %w16 = arith.muli %warp, %c16 : i32
    %r0 = arith.addi %row0, %w16 : i32
    %r1 = arith.addi %r0, %group : i32
    %q0 = arith.addi %column0, %pair : i32
STORES
  }
  llvm.return
}
""".replace("MAP", MAP)


def product_text(layout, step_b, format_b):
    """layout: of b, <col> for [n, k], <row> for [k, n]; step_b: between slices of 16 of k, in 16 bytes."""
    products, stores = "", ""
    for i in range(4):
        products += """      %%oa%(i)d = arith.constant %(a)d : i64
      %%ob%(i)d = arith.constant %(b)d : i64
      %%da%(i)d = arith.addi %%descA, %%oa%(i)d : i64
      %%db%(i)d = arith.addi %%descB, %%ob%(i)d : i64
      %%d.%(next)d = nvvm.wgmma.mma_async %%da%(i)d, %%db%(i)d, %%%(acc)s, #nvvm.shape<m = 64, n = 64, k = 16>,
          D[#nvvm.wgmma_type<f32>, #nvvm.wgmma_scale_out<one>],
          A[#nvvm.wgmma_type<bf16>, #nvvm.wgmma_scale_in<one>, #nvvm.mma_layout<row>],
          B[#nvvm.wgmma_type<bf16>, #nvvm.wgmma_scale_in<one>, #nvvm.mma_layout<%(layout)s>] : D -> D
""" % {"i": i, "next": i + 1, "acc": "d.%d" % i if i else "acc", "a": 2 * i, "b": step_b * i, "layout": layout}
    for i in range(32):
        stores += """    %%v%(i)d = llvm.extractvalue %%d[%(i)d] : D
    %%ro%(i)d = arith.constant %(row)d : i32
    %%co%(i)d = arith.constant %(column)d : i32
    %%row.%(i)d = arith.addi %%r1, %%ro%(i)d : i32
    %%col.%(i)d = arith.addi %%q0, %%co%(i)d : i32
    %%rowIn.%(i)d = arith.cmpi slt, %%row.%(i)d, %%m : i32
    %%colIn.%(i)d = arith.cmpi slt, %%col.%(i)d, %%n : i32
    %%in%(i)d = arith.andi %%rowIn.%(i)d, %%colIn.%(i)d : i1
    scf.if %%in%(i)d {
      %%s0 = arith.muli %%row.%(i)d, %%n : i32
      %%s1 = arith.addi %%s0, %%col.%(i)d : i32
      %%po = llvm.getelementptr %%out[%%s1] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      llvm.store %%v%(i)d, %%po : f32, !llvm.ptr<1>
    }
""" % {"i": i, "row": i // 2 % 2 * 8, "column": i // 4 * 8 + i % 2}
    text = PRODUCT.replace("PRODUCTS\n", products).replace("STORES\n", stores)
    text = text.replace("BBOX", "%k, %column0" if layout == "col" else "%column0, %k")
    text = text.replace("FORMATA", str(SWIZZLE128 | 64 << 32)).replace("FORMATB", str(format_b))
    return re.sub(r"(: |-> )D\b", r"\1" + D, text)


SWIZZLE128 = 1 << 62
BY_COLUMNS = ("col", 2, SWIZZLE128 | 64 << 32)              # stride between 8 rows: 1024 bytes
BY_ROWS = ("row", 128, SWIZZLE128 | 64 << 32 | 512 << 16)   # the same along k; one box of 64 columns


def multiply(text, m, n, k, by_rows=False):
    a, b = bf16_bits(random.standard_normal((m, k))), bf16_bits(random.standard_normal((k, n) if by_rows else (n, k)))
    exact = bf16_values(a).astype(np.float64) @ (bf16_values(b) if by_rows else bf16_values(b).T)
    out = np.full((m, n), np.nan, np.float32)
    arguments = [Tensor(a, (64, 64)), Tensor(b, (64, 64)), out, np.int32(m), np.int32(n), np.int32((k + 63) // 64)]
    device.kernel(text, "product")(((n + 63) // 64, (m + 63) // 64), (256,), arguments, shared=ROOM)
    return out, exact


def is_right(pair):
    return np.allclose(*pair, atol=1e-4, rtol=1e-5)


columns, rows = product_text(*BY_COLUMNS), product_text(*BY_ROWS)
for m, n, k in [(64, 64, 64), (70, 72, 200)]:
    assert is_right(multiply(columns, m, n, k)), (m, n, k)
    assert is_right(multiply(rows, m, n, k, by_rows=True)), (m, n, k)


def planted(old, new):
    assert old in columns, old
    return columns.replace(old, new)


def shows(text, by_rows=False, k=128):
    """A report, or wrong numbers."""
    try:
        right = is_right(multiply(text, 64, 64, k, by_rows))
    except Stopped:
        return
    assert not right, "the emulator computed what a device would not"


# Planted: the step from slice to slice, the stride between 8 rows, rows of n instead of k, no swizzle.
shows(product_text("col", 4, BY_COLUMNS[2]))
shows(product_text("col", 2, SWIZZLE128 | 32 << 32))
shows(product_text("row", 64, BY_ROWS[2]), by_rows=True)
shows(product_text("row", 128, SWIZZLE128 | 32 << 32 | 512 << 16), by_rows=True)
shows(product_text("row", 2, BY_COLUMNS[2]))
shows(product_text("col", 2, 64 << 32))
# Planted: a stage that is filled while it is read, one that is read before it is filled, half of the bytes expected.
EMPTY = "        nvvm.mbarrier.try_wait.parity %empty, %before, %ticks : !llvm.ptr<3>, i32, i32 // empty\n"
FULL = "      nvvm.mbarrier.try_wait.parity %full, %round, %ticks : !llvm.ptr<3>, i32, i32 // full\n"
shows(planted(EMPTY, ""), k=640)
shows(planted(FULL, ""), k=640)
shows(planted("%bytes = arith.constant 16384", "%bytes = arith.constant 8192"), k=640)
WAITS = "      nvvm.wgmma.wait.group.sync.aligned 0\n"
# Faults that are reported.
expect_stopped(lambda: multiply(planted("%bytes = arith.constant 16384", "%bytes = arith.constant 32768"), 64, 64, 128),
               "deadlock", "threads 128-255 wait in mbarrier.try_wait of parity 0", "shared address 32768")
expect_stopped(lambda: multiply(planted(WAITS, ""), 64, 64, 64),
               "reads an accumulator of the wgmma at", "before waiting for it")
expect_stopped(lambda: multiply(planted("      nvvm.wgmma.commit.group.sync.aligned\n", ""), 64, 64, 64),
               "reads an accumulator of the wgmma at")
expect_stopped(lambda: multiply(planted("      nvvm.wgmma.fence.aligned\n", ""), 64, 64, 64), "expected a wgmma.fence")
expect_stopped(lambda: multiply(planted("ult, %thread, %c128", "ult, %thread, %c64"), 64, 64, 64),
               "thread 64 took part in 4 products of its warpgroup, thread 0 in 0")

# ---- A in registers, which only inline assembly says; operands that are not swizzled ------------------------------

# out [64, 64] = 2 a [64, 16] · b [64 n, 16 k]: the second product adds to the first one's result.
REGISTERS = """
llvm.mlir.global internal @b() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<2048 x i8>
llvm.func @registers(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %out: !llvm.ptr<1>)
    attributes {nvvm.kernel, nvvm.maxntid = array<i32: 128>} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c3 = arith.constant 3 : i32
  %c4 = arith.constant 4 : i32
  %c5 = arith.constant 5 : i32
  %c7 = arith.constant 7 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %c31 = arith.constant 31 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %c256 = arith.constant 256 : i32
  %thread = nvvm.read.ptx.sreg.tid.x : i32
  // b: matrices of 8 rows of 16 bytes; the next 8 of k 128 bytes on, the next 8 of n 256 bytes.
  %n = arith.shrui %thread, %c1 : i32
  %half = arith.andi %thread, %c1 : i32
  %n8 = arith.shrui %n, %c3 : i32
  %n7 = arith.andi %n, %c7 : i32
  %p0 = arith.muli %n8, %c256 : i32
  %p1 = arith.muli %half, %c128 : i32
  %p2 = arith.muli %n7, %c16 : i32
  %p3 = arith.addi %p0, %p1 : i32
  %place = arith.addi %p3, %p2 : i32
  %from0 = arith.muli %thread, %c8 : i32
  %from = llvm.getelementptr %b[%from0] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i16
  %shared = llvm.mlir.addressof @b : !llvm.ptr<3>
  %to = llvm.getelementptr %shared[%place] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
  %piece = llvm.load %from {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xi32>
  llvm.store %piece, %to {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<3>
  nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
  nvvm.barrier0
  // a: registers (row, pair), (row + 8, pair), (row, pair + 8), (row + 8, pair + 8).
  %lane = arith.andi %thread, %c31 : i32
  %warp = arith.shrui %thread, %c5 : i32
  %group = arith.shrui %lane, %c2 : i32
  %pair0 = arith.andi %lane, %c3 : i32
  %pair = arith.muli %pair0, %c2 : i32
  %w16 = arith.muli %warp, %c16 : i32
  %row = arith.addi %w16, %group : i32
  %at0 = arith.muli %row, %c16 : i32
  %at = arith.addi %at0, %pair : i32
  %pa = llvm.getelementptr %a[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i16
  %pa1 = llvm.getelementptr %pa[128] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i16
  %pa2 = llvm.getelementptr %pa[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i16
  %pa3 = llvm.getelementptr %pa[136] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i16
  %a0 = llvm.load %pa : !llvm.ptr<1> -> i32
  %a1 = llvm.load %pa1 : !llvm.ptr<1> -> i32
  %a2 = llvm.load %pa2 : !llvm.ptr<1> -> i32
  %a3 = llvm.load %pa3 : !llvm.ptr<1> -> i32
  %mask = arith.constant 0x3ffff : i64
  %four = arith.constant 4 : i64
  %format = arith.constant FORMAT : i64
  %d0 = llvm.ptrtoint %shared : !llvm.ptr<3> to i64
  %d1 = arith.andi %d0, %mask : i64
  %d2 = arith.shrui %d1, %four : i64
  %desc = arith.ori %d2, %format : i64
  %zero = arith.constant 0.0 : f32
  nvvm.wgmma.fence.aligned
  %x = llvm.inline_asm has_side_effects asm_dialect = att "ASM", "CONSTRAINTS" %a0, %a1, %a2, %a3, %desc, %c0, ZEROS
      : (i32, i32, i32, i32, i64, i32, TYPES) -> D
  nvvm.wgmma.commit.group.sync.aligned
  nvvm.wgmma.wait.group.sync.aligned 0
EXTRACT
  nvvm.wgmma.fence.aligned
  %y = llvm.inline_asm has_side_effects asm_dialect = att "ASM", "CONSTRAINTS" %a0, %a1, %a2, %a3, %desc, %c1, VALUES
      : (i32, i32, i32, i32, i64, i32, TYPES) -> D
  nvvm.wgmma.commit.group.sync.aligned
  nvvm.wgmma.wait.group.sync.aligned 0
  %q0 = arith.muli %row, %c64 : i32
  %q = arith.addi %q0, %pair : i32
STORES
  llvm.return
}
"""


def registers_text(order=(32, 33, 34, 35), leading=128, stride=256):
    d = range(32)
    join = lambda form: ", ".join(form % i for i in d)
    stores = "".join("""  %%v%(i)d = llvm.extractvalue %%y[%(i)d] : D
  %%o%(i)d = llvm.getelementptr %%out[%%q] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
  %%s%(i)d = llvm.getelementptr %%o%(i)d[%(offset)d] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
  llvm.store %%v%(i)d, %%s%(i)d : f32, !llvm.ptr<1>
""" % {"i": i, "offset": i // 2 % 2 * 8 * 64 + i // 4 * 8 + i % 2} for i in d)
    text = REGISTERS.replace("STORES\n", stores)
    text = text.replace("EXTRACT\n", "".join("  %%x%d = llvm.extractvalue %%x[%d] : D\n" % (i, i) for i in d))
    operands = "{%s}, {$%d, $%d, $%d, $%d}, $36, p, 1, 1, 0" % ((join("$%d"),) + tuple(order))
    text = text.replace("ASM", "{ .reg .pred p; setp.ne.b32 p, $37, 0; "
                        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " + operands + "; }")
    text = text.replace("CONSTRAINTS", ",".join(["=f"] * 32 + ["r", "r", "r", "r", "l", "r"] + [str(i) for i in d]))
    text = text.replace("ZEROS", ", ".join(["%zero"] * 32)).replace("VALUES", join("%%x%d"))
    text = text.replace("TYPES", ", ".join(["f32"] * 32))
    text = text.replace("FORMAT", str(leading // 16 << 16 | stride // 16 << 32))
    return re.sub(r"(: |-> )D\b", r"\1" + D, text)


def multiply_registers(*arguments):
    a, b = bf16_bits(random.standard_normal((64, 16))), bf16_bits(random.standard_normal((64, 16)))
    out = np.full((64, 64), np.nan, np.float32)
    device.kernel(registers_text(*arguments), "registers")((1,), (128,), [a, b, out])
    return out, 2 * bf16_values(a).astype(np.float64) @ bf16_values(b).T


assert is_right(multiply_registers())
# Planted: the order of the fragment, the strides of b the wrong way round.
assert not is_right(multiply_registers((32, 34, 33, 35)))
assert not is_right(multiply_registers((32, 33, 34, 35), 256, 128))
