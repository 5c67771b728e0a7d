# RUN: %python %s
"""mma.sync, ldmatrix, stmatrix and cp.async: a product of matrices in two stages; and faults of each."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import numpy as np
from emulated import SEED, Device, Stopped, bf16_bits, bf16_values, expect_stopped

random = np.random.default_rng(SEED)
device = Device()
print("seed", SEED)

# ---- out [m, n] = a [m, k] · b [k, n]: blocks of 32×16, two warps, steps of 16 --------------------------------

# Shared memory, for each of two stages: 32 rows of 32 bytes of a, 16 rows of 32 bytes of b.
PRODUCT = """
llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<0 x i8>
llvm.func @product(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %out: !llvm.ptr<1>, %m: i32, %n: i32, %k: i32)
    attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c4 = arith.constant 4 : i32
  %c5 = arith.constant 5 : i32
  %c8 = arith.constant 8 : i32
  %c15 = arith.constant 15 : i32
  %c16 = arith.constant 16 : i32
  %c31 = arith.constant 31 : i32
  %c32 = arith.constant 32 : i32
  %c512 = arith.constant 512 : i32
  %c1024 = arith.constant 1024 : i32
  %c2048 = arith.constant 2048 : i32
  %zero = arith.constant 0.0 : f32
  %smem = llvm.mlir.addressof @smem : !llvm.ptr<3>
  %thread = nvvm.read.ptx.sreg.tid.x : i32
  %lane = arith.andi %thread, %c31 : i32
  %warp = arith.shrui %thread, %c5 : i32
  %bx = nvvm.read.ptx.sreg.ctaid.x : i32
  %by = nvvm.read.ptx.sreg.ctaid.y : i32
  %row0 = arith.muli %by, %c32 : i32
  %column0 = arith.muli %bx, %c16 : i32
  %steps0 = arith.addi %k, %c15 : i32
  %steps = arith.divui %steps0, %c16 : i32
  // Which 16 bytes this thread copies: row thread / 2, half thread % 2.
  %copyRow = arith.shrui %thread, %c1 : i32
  %copyHalf = arith.andi %thread, %c1 : i32
  %copyColumn = arith.muli %copyHalf, %c8 : i32
  %place = arith.muli %thread, %c16 : i32
  %isB = arith.cmpi ult, %thread, %c32 : i32
  // Which row ldmatrix takes from this thread: row lane % 16, half lane / 16.
  %ldRow = arith.andi %lane, %c15 : i32
  %ldHalf = arith.shrui %lane, %c4 : i32
  %ld0 = arith.muli %ldRow, %c32 : i32
  %ld1 = arith.muli %ldHalf, %c16 : i32
  %ldB = arith.addi %ld0, %ld1 : i32
  %warpPlace = arith.muli %warp, %c512 : i32
  %ldA = arith.addi %ldB, %warpPlace : i32
  %last = arith.addi %steps, %c1 : i32
  %acc:8 = scf.for %step = %c0 to %last step %c1
      iter_args(%0 = %zero, %1 = %zero, %2 = %zero, %3 = %zero, %4 = %zero, %5 = %zero, %6 = %zero, %7 = %zero)
      -> (f32, f32, f32, f32, f32, f32, f32, f32) : i32 {
    // Begin the copies of this step, compute the one before.
    %stage = arith.andi %step, %c1 : i32
    %stageA = arith.muli %stage, %c1024 : i32
    %stageB0 = arith.muli %stage, %c512 : i32
    %stageB = arith.addi %stageB0, %c2048 : i32
    %k0 = arith.muli %step, %c16 : i32
    %row = arith.addi %row0, %copyRow : i32
    %column = arith.addi %k0, %copyColumn : i32
    %rowInside = arith.cmpi slt, %row, %m : i32
    %columnInside = arith.cmpi slt, %column, %k : i32
    %aInside = arith.andi %rowInside, %columnInside : i1
    %aBytes = arith.select %aInside, %c16, %c0 : i32
    %a0 = arith.muli %row, %k : i32
    %a1 = arith.addi %a0, %column : i32
    %from = llvm.getelementptr %a[%a1] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i16
    %to0 = arith.addi %stageA, %place : i32
    %to = llvm.getelementptr %smem[%to0] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    nvvm.cp.async.shared.global %to, %from, 16, cache = cg, %aBytes : !llvm.ptr<3>, !llvm.ptr<1>, i32
    scf.if %isB {
      %bRow = arith.addi %k0, %copyRow : i32
      %bColumn = arith.addi %column0, %copyColumn : i32
      %bRowInside = arith.cmpi slt, %bRow, %k : i32
      %bColumnInside = arith.cmpi slt, %bColumn, %n : i32
      %bInside = arith.andi %bRowInside, %bColumnInside : i1
      %bBytes = arith.select %bInside, %c16, %c0 : i32
      %b0 = arith.muli %bRow, %n : i32
      %b1 = arith.addi %b0, %bColumn : i32
      %bFrom = llvm.getelementptr %b[%b1] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i16
      %bTo0 = arith.addi %stageB, %place : i32
      %bTo = llvm.getelementptr %smem[%bTo0] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      nvvm.cp.async.shared.global %bTo, %bFrom, 16, cache = cg, %bBytes : !llvm.ptr<3>, !llvm.ptr<1>, i32
    }
    nvvm.cp.async.commit.group
    %isFirst = arith.cmpi eq, %step, %c0 : i32
    %next:8 = scf.if %isFirst -> (f32, f32, f32, f32, f32, f32, f32, f32) {
      scf.yield %0, %1, %2, %3, %4, %5, %6, %7 : f32, f32, f32, f32, f32, f32, f32, f32
    } else {
      nvvm.cp.async.wait.group 1
      nvvm.barrier0 // copies are there
      %other = arith.xori %stage, %c1 : i32
      %otherA = arith.muli %other, %c1024 : i32
      %otherB0 = arith.muli %other, %c512 : i32
      %otherB = arith.addi %otherB0, %c2048 : i32
      %pa0 = arith.addi %otherA, %ldA : i32
      %pb0 = arith.addi %otherB, %ldB : i32
      %pa = llvm.getelementptr %smem[%pa0] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %pb = llvm.getelementptr %smem[%pb0] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %fa = nvvm.ldmatrix %pa {num = 4 : i32, layout = #nvvm.mma_layout<row>,
          shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>}
          : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>
      %fb = nvvm.ldmatrix %pb {num = 4 : i32, layout = #nvvm.mma_layout<col>,
          shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>}
          : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>
EXTRACT
      nvvm.barrier0 // operands are read
      %d0 = nvvm.mma.sync A[%a.0, %a.1, %a.2, %a.3] B[%b.0, %b.1] C[%0, %1, %2, %3]
          {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>,
           multiplicandAPtxType = #nvvm.mma_type<TYPE>, multiplicandBPtxType = #nvvm.mma_type<TYPE>,
           shape = #nvvm.shape<m = 16, n = 8, k = 16>}
          : (REGISTER, REGISTER, f32) -> !llvm.struct<(f32, f32, f32, f32)>
      %d1 = nvvm.mma.sync A[%a.0, %a.1, %a.2, %a.3] B[%b.2, %b.3] C[%4, %5, %6, %7]
          {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>,
           multiplicandAPtxType = #nvvm.mma_type<TYPE>, multiplicandBPtxType = #nvvm.mma_type<TYPE>,
           shape = #nvvm.shape<m = 16, n = 8, k = 16>}
          : (REGISTER, REGISTER, f32) -> !llvm.struct<(f32, f32, f32, f32)>
RESULTS
      scf.yield %r.0, %r.1, %r.2, %r.3, %r.4, %r.5, %r.6, %r.7 : f32, f32, f32, f32, f32, f32, f32, f32
    }
    scf.yield %next#0, %next#1, %next#2, %next#3, %next#4, %next#5, %next#6, %next#7
        : f32, f32, f32, f32, f32, f32, f32, f32
  }
  // Element i of tile t: row lane / 4 + 8 (i / 2), column 8 t + 2 (lane % 4) + i % 2.
  %group = arith.shrui %lane, %c2 : i32
  %c3 = arith.constant 3 : i32
  %pair0 = arith.andi %lane, %c3 : i32
  %pair = arith.muli %pair0, %c2 : i32
  %w16 = arith.muli %warp, %c16 : i32
  %r0 = arith.addi %row0, %w16 : i32
  %r1 = arith.addi %r0, %group : i32
  %q0 = arith.addi %column0, %pair : i32
STORES
  llvm.return
}
"""


def product_text(kind):
    register = "vector<2xf16>" if kind == "f16" else "i32"
    extract, results, stores = "", "", ""
    for f in "ab":
        for i in range(4):
            name = "%s.%d" % (f, i) if kind == "bf16" else "%s.%d.bits" % (f, i)
            extract += "      %%%s = llvm.extractvalue %%f%s[%d] : !llvm.struct<(i32, i32, i32, i32)>\n" % (name, f, i)
            if kind == "f16":
                extract += "      %%%s.%d = llvm.bitcast %%%s : i32 to vector<2xf16>\n" % (f, i, name)
    for i in range(8):
        place = (i, i // 4, i % 4)
        results += "      %%r.%d = llvm.extractvalue %%d%d[%d] : !llvm.struct<(f32, f32, f32, f32)>\n" % place
        stores += """  %%ro%(i)d = arith.constant %(row)d : i32
  %%co%(i)d = arith.constant %(column)d : i32
  %%row.%(i)d = arith.addi %%r1, %%ro%(i)d : i32
  %%col.%(i)d = arith.addi %%q0, %%co%(i)d : i32
  %%rowIn.%(i)d = arith.cmpi slt, %%row.%(i)d, %%m : i32
  %%colIn%(i)d = arith.cmpi slt, %%col.%(i)d, %%n : i32
  %%in%(i)d = arith.andi %%rowIn.%(i)d, %%colIn%(i)d : i1
  scf.if %%in%(i)d {
    %%s0 = arith.muli %%row.%(i)d, %%n : i32
    %%s1 = arith.addi %%s0, %%col.%(i)d : i32
    %%po = llvm.getelementptr %%out[%%s1] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    llvm.store %%acc#%(i)d, %%po : f32, !llvm.ptr<1>
  }
""" % {"i": i, "row": i // 2 % 2 * 8, "column": i // 4 * 8 + i % 2}
    text = PRODUCT.replace("EXTRACT\n", extract).replace("RESULTS\n", results).replace("STORES\n", stores)
    return text.replace("TYPE", kind).replace("REGISTER", register)


def multiply(kernel, m, n, k, kind="bf16"):
    """Returns the result and the one of double precision."""
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in [(m, k), (k, n)])
    if kind == "bf16":
        a, b = bf16_bits(a), bf16_bits(b)
        exact = bf16_values(a).astype(np.float64) @ bf16_values(b)
    else:
        a, b = a.astype(np.float16), b.astype(np.float16)
        exact = a.astype(np.float64) @ b.astype(np.float64)
    out = np.full((m, n), np.nan, np.float32)
    kernel(((n + 15) // 16, (m + 31) // 32), (64,), [a, b, out, np.int32(m), np.int32(n), np.int32(k)], shared=3072)
    return out, exact


def is_right(pair):
    return np.allclose(*pair, atol=1e-4, rtol=1e-5)


for kind in ["bf16", "f16"]:
    kernel = device.kernel(product_text(kind), "product")
    for shape in [(32, 16, 16), (50, 24, 40), (7, 8, 104)]:
        assert is_right(multiply(kernel, *shape, kind)), (kind, shape)


def planted(old, new, count=1):
    text = product_text("bf16")
    assert old in text
    return device.kernel(text.replace(old, new, count), "product")


# Faults that the emulator reports.
DIVERGED = """%isLane0 = arith.cmpi eq, %lane, %c0 : i32
      scf.if %isLane0 {
        nvvm.barrier0
      } //"""
behind = planted("%pa0 = arith.addi %otherA, %ldA", "%pa0 = arith.muli %c2048, %c2")
expect_stopped(lambda: multiply(behind, 32, 16, 48),
               "ldmatrix: 16 bytes at", "are not in the 3072 bytes of shared memory")
misaligned = planted("%ldA = arith.addi %ldB, %warpPlace", "%ldA = arith.addi %ldB, %c8")
expect_stopped(lambda: multiply(misaligned, 32, 16, 16),
               "ldmatrix: shared address", "is not aligned to 16 bytes", "CUresult 716")
expect_stopped(lambda: multiply(planted("%aInside = arith.andi", "%aInside = arith.ori"), 50, 24, 40),
               "cp.async: 16 bytes of global memory", "after the end of an allocation")
expect_stopped(lambda: multiply(device.kernel(product_text("bf16"), "product"), 32, 16, 36),
               "cp.async: global address", "is not aligned to 16 bytes")
expect_stopped(lambda: multiply(planted("nvvm.barrier0 // operands", DIVERGED), 32, 16, 16),
               "of the warp wait in", "bar.sync", "mma.sync")

# Faults that give wrong numbers.
for old, new in [
    ("wait.group 1", "wait.group 2"),                                                # the copies are not there yet
    ("    nvvm.cp.async.commit.group\n", ""),                                        # nor do they ever get there
    ("layout = #nvvm.mma_layout<col>,\n", "layout = #nvvm.mma_layout<row>,\n"),
    ("A[%a.0, %a.1, %a.2, %a.3]", "A[%a.0, %a.2, %a.1, %a.3]"),                      # order of the fragment
    ("%column = arith.addi %k0, %copyColumn", "%column = arith.addi %c0, %copyColumn"),
]:
    assert not is_right(multiply(planted(old, new), 32, 16, 48)), new
# Faults that depend on the order: some block shows them.
for old in ["nvvm.barrier0 // copies", "nvvm.barrier0 // operands"]:
    assert not is_right(multiply(planted(old, "//"), 320, 160, 80)), old

# ---- tf32, whose operands are rounded to 11 bits; stmatrix ----------------------------------------------------------

# out [16, 8] = a [16, 8] · b [8, 8]; transposed [8, 8] = the first 8 rows of 16-bit `in`, through stmatrix.
SMALL = """
llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<64 x i16>
llvm.func @small(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %out: !llvm.ptr<1>, %in: !llvm.ptr<1>, %transposed: !llvm.ptr<1>)
    attributes {nvvm.kernel} {
  %c2 = arith.constant 2 : i32
  %c3 = arith.constant 3 : i32
  %c7 = arith.constant 7 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant 0.0 : f32
  %lane = nvvm.read.ptx.sreg.laneid : i32
  %group = arith.shrui %lane, %c2 : i32
  %pair = arith.andi %lane, %c3 : i32
  %group8 = arith.muli %group, %c8 : i32
  %at = arith.addi %group8, %pair : i32
  %pair8 = arith.muli %pair, %c8 : i32
  %bt = arith.addi %pair8, %group : i32
  %pa = llvm.getelementptr %a[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
  %pb = llvm.getelementptr %b[%bt] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
LOADS
  %d = nvvm.mma.sync A[%a0, %a1, %a2, %a3] B[%b0, %b1] C[%zero, %zero, %zero, %zero]
      {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<tf32>,
       multiplicandBPtxType = #nvvm.mma_type<tf32>, shape = #nvvm.shape<m = 16, n = 8, k = 8>}
      : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
  %two = arith.muli %pair, %c2 : i32
  %ot = arith.addi %group8, %two : i32
  %po = llvm.getelementptr %out[%ot] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
STORES
  %pi = llvm.getelementptr %in[%ot] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i16
  %x = llvm.load %pi : !llvm.ptr<1> -> i32
  %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
  %lane7 = arith.andi %lane, %c7 : i32
  %row = arith.muli %lane7, %c8 : i32
  %to = llvm.getelementptr %tile[%row] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i16
  nvvm.stmatrix %to, %x {layout = #nvvm.mma_layout<col>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>,
      eltType = #nvvm.ld_st_matrix_elt_type<b16>} : !llvm.ptr<3>, i32
  %mask = arith.constant -1 : i32
  nvvm.bar.warp.sync %mask : i32
  %from = llvm.getelementptr %tile[%ot] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i16
  %y = llvm.load %from : !llvm.ptr<3> -> i32
  %pt = llvm.getelementptr %transposed[%ot] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i16
  llvm.store %y, %pt : i32, !llvm.ptr<1>
  llvm.return
}
"""
loads = "".join("""  %%p%(name)s = llvm.getelementptr %%p%(base)s[%(offset)d] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
  %%f%(name)s = llvm.load %%p%(name)s : !llvm.ptr<1> -> f32
  %%%(name)s = nvvm.convert.float.to.tf32 %%f%(name)s {rnd = #nvvm.fp_rnd_mode<rna>}
""" % {"name": name, "base": name[0], "offset": offset}
                for name, offset in [("a0", 0), ("a1", 64), ("a2", 4), ("a3", 68), ("b0", 0), ("b1", 32)])
stores = "".join("""  %%d%(i)d = llvm.extractvalue %%d[%(i)d] : !llvm.struct<(f32, f32, f32, f32)>
  %%po%(i)d = llvm.getelementptr %%po[%(offset)d] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
  llvm.store %%d%(i)d, %%po%(i)d : f32, !llvm.ptr<1>
""" % {"i": i, "offset": i // 2 * 64 + i % 2} for i in range(4))
small = device.kernel(SMALL.replace("LOADS\n", loads).replace("STORES\n", stores), "small")


def to_tf32(array):
    """To the nearest of 11 significant bits."""
    mantissa, exponent = np.frexp(array.astype(np.float64))
    return np.ldexp(np.trunc(mantissa * 2048 + np.copysign(0.5, mantissa)) / 2048, exponent)


a, b = (random.standard_normal(shape).astype(np.float32) for shape in [(16, 8), (8, 8)])
out, transposed = np.zeros((16, 8), np.float32), np.zeros((8, 8), np.uint16)
elements = np.arange(64, dtype=np.uint16).reshape(8, 8)
small((1,), (32,), [a, b, out, elements, transposed])
assert np.allclose(out, to_tf32(a) @ to_tf32(b), rtol=1e-6, atol=1e-6)
assert not np.allclose(out, a.astype(np.float64) @ b, rtol=1e-6, atol=1e-6)
assert np.array_equal(transposed, elements.T)
