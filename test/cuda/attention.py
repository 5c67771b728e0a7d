# RUN: %python %s
"""Attention's forward pass as Hopper computes it: TMA, both products by wgmma, probabilities in registers."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import numpy as np
from emulated import SEED, Device, Stopped, Tensor, bf16_bits, bf16_values

random = np.random.default_rng(SEED)
device = Device()
print("seed", SEED)

# One warpgroup computes 64 queries, in steps of 64 keys; a head has 64 values. Shared memory: q, k and v, 8 KiB each,
# rows of 128 bytes, swizzled; then an mbarrier for q and one for k and v.
D = "!llvm.struct<(%s)>" % ", ".join(["f32"] * 32)
MAP = "!llvm.ptr {llvm.byval = !llvm.array<16 x i64>, nvvm.grid_constant, llvm.align = 64 : i64}"
HEAD = """
llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
llvm.func @attention(%q: MAP, %k: MAP, %v: MAP, %out: !llvm.ptr<1>, %queries: i32, %keys: i32)
    attributes {nvvm.kernel, nvvm.maxntid = array<i32: 128>} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c64 = arith.constant 64 : i32
  %mask = arith.constant -1 : i32
  %clamp = arith.constant 31 : i32
  %ticks = arith.constant 100000 : i32
  %qBytes = arith.constant 8192 : i32
  %bytes = arith.constant 16384 : i32
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant -1.0e30 : f32
  %scale = arith.constant 0.18033688 : f32 // log2(e) / sqrt(64)
  %smem = llvm.mlir.address @smem : !llvm.ptr<3>
  %sk = llvm.getelementptr %smem[8192] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %sv = llvm.getelementptr %smem[16384] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %qBar = llvm.getelementptr %smem[24576] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %bar = llvm.getelementptr %smem[24584] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  %toQ = llvm.addrspacecast %smem : !llvm.ptr<3> to !llvm.ptr<7>
  %toK = llvm.addrspacecast %sk : !llvm.ptr<3> to !llvm.ptr<7>
  %toV = llvm.addrspacecast %sv : !llvm.ptr<3> to !llvm.ptr<7>
  %thread = nvvm.read.ptx.sreg.tid.x : i32
  %bx = nvvm.read.ptx.sreg.ctaid.x : i32
  %row0 = arith.muli %bx, %c64 : i32
  %first = arith.cmpi eq, %thread, %c0 : i32
  scf.if %first {
    nvvm.mbarrier.init %qBar, %c1 : !llvm.ptr<3>, i32
    nvvm.mbarrier.init %bar, %c1 : !llvm.ptr<3>, i32
    nvvm.fence.mbarrier.init
    nvvm.mbarrier.arrive.expect_tx %qBar, %qBytes : !llvm.ptr<3>, i32
    nvvm.cp.async.bulk.tensor.shared.cluster.global %toQ, %q, %qBar, box[%c0, %row0] : !llvm.ptr<7>, !llvm.ptr
  }
  nvvm.barrier0
  nvvm.mbarrier.try_wait.parity %qBar, %c0, %ticks : !llvm.ptr<3>, i32, i32
  %low18 = arith.constant 0x3ffff : i64
  %four = arith.constant 4 : i64
  %rows = arith.constant 4611686293305294848 : i64  // 128-byte swizzle, 1024 bytes between 8 rows
  %q0 = llvm.ptrtoint %smem : !llvm.ptr<3> to i64
  %k0 = llvm.ptrtoint %sk : !llvm.ptr<3> to i64
  %v0 = llvm.ptrtoint %sv : !llvm.ptr<3> to i64
  %q1 = arith.andi %q0, %low18 : i64
  %k1 = arith.andi %k0, %low18 : i64
  %v1 = arith.andi %v0, %low18 : i64
  %q2 = arith.shrui %q1, %four : i64
  %k2 = arith.shrui %k1, %four : i64
  %v2 = arith.shrui %v1, %four : i64
  %qDesc = arith.ori %q2, %rows : i64
  %kDesc = arith.ori %k2, %rows : i64
  %vDesc = arith.ori %v2, %rows : i64
  %c3 = arith.constant 3 : i32
  %c5 = arith.constant 5 : i32
  %c16 = arith.constant 16 : i32
  %c31 = arith.constant 31 : i32
  %lane = arith.andi %thread, %c31 : i32
  %warp = arith.shrui %thread, %c5 : i32
  %group = arith.shrui %lane, %c2 : i32
  %pair0 = arith.andi %lane, %c3 : i32
  %pair = arith.muli %pair0, %c2 : i32
  %empty = llvm.mlir.zero : D
  %tiles0 = arith.constant 63 : i32
  %tiles1 = arith.addi %keys, %tiles0 : i32
  %tiles = arith.divui %tiles1, %c64 : i32
""".replace("llvm.mlir.address @", "llvm.mlir.addressof @")
LOOP = """
  %end:5 = scf.for %tile = %c0 to %tiles step %c1
      iter_args(%o = %empty, %m0 = %lowest, %m1 = %lowest, %l0 = %zero, %l1 = %zero) -> (D, f32, f32, f32, f32) : i32 {
    %key0 = arith.muli %tile, %c64 : i32
    scf.if %first {
      nvvm.mbarrier.arrive.expect_tx %bar, %bytes : !llvm.ptr<3>, i32
      nvvm.cp.async.bulk.tensor.shared.cluster.global %toK, %k, %bar, box[%c0, %key0] : !llvm.ptr<7>, !llvm.ptr
      nvvm.cp.async.bulk.tensor.shared.cluster.global %toV, %v, %bar, box[%c0, %key0] : !llvm.ptr<7>, !llvm.ptr
    }
    %parity = arith.andi %tile, %c1 : i32
    nvvm.mbarrier.try_wait.parity %bar, %parity, %ticks : !llvm.ptr<3>, i32, i32
"""


class Lines:
    """Text of ops, each with a new name for its result."""

    def __init__(self):
        self.text, self.count = "", 0

    def __call__(self, op):
        self.count += 1
        self.text += "    %%t%d = %s\n" % (self.count, op)
        return "%%t%d" % self.count

    def do(self, op):
        self.text += "    %s\n" % op

    def f32(self, op, *operands):
        return self("%s %s : f32" % (op, ", ".join(operands)))

    def constant(self, value, kind):
        return self("arith.constant %s : %s" % (value, kind))


ASSEMBLY = ("{ .reg .pred p; setp.ne.b32 p, $37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
            "{%s}, {$32, $33, $34, $35}, $36, p, 1, 1, 1; }" % ", ".join("$%d" % i for i in range(32)))
CONSTRAINTS = ",".join(["=f"] * 32 + ["r", "r", "r", "r", "l", "r"] + [str(i) for i in range(32)])


def attention_text(registers=(0, 2, 4, 6), v_step=128, barrier="nvvm.barrier0", rescales=True):
    """registers: where, of the 8 probabilities of 16 keys, each register of the fragment begins."""
    e = Lines()
    # Scores [64 queries, 64 keys].
    e.do("nvvm.wgmma.fence.aligned")
    s = "%empty"
    for i in range(4):
        offset = e.constant(2 * i, "i64")
        descriptors = [e("arith.addi %s, %s : i64" % (d, offset)) for d in ("%qDesc", "%kDesc")]
        s = e("nvvm.wgmma.mma_async %s, %s, %s, #nvvm.shape<m = 64, n = 64, k = 16>,\n"
              "        D[#nvvm.wgmma_type<f32>, #nvvm.wgmma_scale_out<%s>],\n"
              "        A[#nvvm.wgmma_type<bf16>, #nvvm.wgmma_scale_in<one>, #nvvm.mma_layout<row>],\n"
              "        B[#nvvm.wgmma_type<bf16>, #nvvm.wgmma_scale_in<one>, #nvvm.mma_layout<col>] : %s -> %s"
              % (*descriptors, s, "one" if i else "zero", D, D))
    e.do("nvvm.wgmma.commit.group.sync.aligned")
    e.do("nvvm.wgmma.wait.group.sync.aligned 0")
    # Online softmax: element i is of row i / 2 % 2 and key 8 (i / 4) + pair + i % 2.
    scores, maxima = [], ["%m0", "%m1"]
    for i in range(32):
        value = e.f32("arith.mulf", e("llvm.extractvalue %s[%d] : %s" % (s, i, D)), "%scale")
        key = e("arith.addi %%pair, %s : i32" % e.constant(i // 4 * 8 + i % 2, "i32"))
        key = e("arith.addi %%key0, %s : i32" % key)
        inside = e("arith.cmpi slt, %s, %%keys : i32" % key)
        scores.append(e("arith.select %s, %s, %%lowest : f32" % (inside, value)))
        maxima[i // 2 % 2] = e.f32("arith.maximumf", maxima[i // 2 % 2], scores[i])
    for row in range(2):
        for offset in ("%c1", "%c2"):
            other = e("nvvm.shfl.sync bfly %%mask, %s, %s, %%clamp : f32 -> f32" % (maxima[row], offset))
            maxima[row] = e.f32("arith.maximumf", maxima[row], other)
    factors = [e.f32("math.exp2", e.f32("arith.subf", "%%m%d" % row, maxima[row])) for row in range(2)]
    sums = [e.f32("arith.mulf", "%%l%d" % row, factors[row]) for row in range(2)]
    probabilities = [e.f32("math.exp2", e.f32("arith.subf", scores[i], maxima[i // 2 % 2])) for i in range(32)]
    for i in range(32):
        sums[i // 2 % 2] = e.f32("arith.addf", sums[i // 2 % 2], probabilities[i])
    # The result so far, rescaled; then probabilities · v.
    o = [e("llvm.extractvalue %%o[%d] : %s" % (i, D)) for i in range(32)]
    if rescales:
        o = [e.f32("arith.mulf", o[i], factors[i // 2 % 2]) for i in range(32)]
    e.do("nvvm.wgmma.fence.aligned")
    for i in range(4):
        a = []
        for register in registers:
            low, high = probabilities[8 * i + register], probabilities[8 * i + register + 1]
            pair = e("nvvm.convert.f32x2.to.bf16x2 %s, %s {rnd = #nvvm.fp_rnd_mode<rn>} : vector<2xbf16>"
                     % (high, low))
            a.append(e("llvm.bitcast %s : vector<2xbf16> to i32" % pair))
        v = e("arith.addi %%vDesc, %s : i64" % e.constant(v_step * i, "i64"))
        result = e('llvm.inline_asm has_side_effects asm_dialect = att "%s", "%s" %s, %s, %%c1, %s\n'
                   "        : (i32, i32, i32, i32, i64, i32, %s) -> %s"
                   % (ASSEMBLY, CONSTRAINTS, ", ".join(a), v, ", ".join(o), ", ".join(["f32"] * 32), D))
        e.do("nvvm.wgmma.commit.group.sync.aligned")
        e.do("nvvm.wgmma.wait.group.sync.aligned 0")
        if i < 3:
            o = [e("llvm.extractvalue %s[%d] : %s" % (result, j, D)) for j in range(32)]
            e.do("nvvm.wgmma.fence.aligned")
    e.do(barrier)
    e.do("scf.yield %s, %s : %s, f32, f32, f32, f32" % (result, ", ".join(maxima + sums), D))
    e.text += "  }\n"
    # Sums of rows, the result.
    totals = []
    for row in range(2):
        total = "%%end#%d" % (3 + row)
        for offset in ("%c1", "%c2"):
            other = e("nvvm.shfl.sync bfly %%mask, %s, %s, %%clamp : f32 -> f32" % (total, offset))
            total = e.f32("arith.addf", total, other)
        totals.append(total)
    row0 = e("arith.addi %s, %%group : i32" % e("arith.addi %%row0, %s : i32" % e("arith.muli %warp, %c16 : i32")))
    for i in range(32):
        row = e("arith.addi %s, %s : i32" % (row0, e.constant(i // 2 % 2 * 8, "i32")))
        value = e.f32("arith.divf", e("llvm.extractvalue %%end#0[%d] : %s" % (i, D)), totals[i // 2 % 2])
        column = e("arith.addi %%pair, %s : i32" % e.constant(i // 4 * 8 + i % 2, "i32"))
        at = e("arith.addi %s, %s : i32" % (e("arith.muli %s, %%c64 : i32" % row), column))
        place = e("llvm.getelementptr %%out[%s] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32" % at)
        e.do("%%in%d = arith.cmpi slt, %s, %%queries : i32" % (i, row))
        e.do("scf.if %%in%d {" % i)
        e.do("  llvm.store %s, %s : f32, !llvm.ptr<1>" % (value, place))
        e.do("}")
    before = (HEAD + LOOP).replace("MAP", MAP).replace("zero : D", "zero : " + D).replace("(D,", "(" + D + ",")
    return before + e.text + "  llvm.return\n}\n"


def attend(text, queries, keys):
    q, k, v = (bf16_bits(random.standard_normal((n, 64))) for n in (queries, keys, keys))
    out = np.full((queries, 64), np.nan, np.float32)
    tensors = [Tensor(x, (64, 64)) for x in (q, k, v)]
    arguments = tensors + [out, np.int32(queries), np.int32(keys)]
    device.kernel(text, "attention")(((queries + 63) // 64,), (128,), arguments, shared=24592)
    q, k, v = (bf16_values(x).astype(np.float64) for x in (q, k, v))
    scores = np.exp(q @ k.T / 8)
    return np.abs(out - scores / scores.sum(1, keepdims=True) @ v).max()


TOLERANCE = 0.01  # probabilities are rounded to bf16
for queries, keys in [(64, 64), (70, 200)]:
    error = attend(attention_text(), queries, keys)
    assert error < TOLERANCE, (queries, keys, error)


def shows(text):
    """A report, or wrong numbers."""
    try:
        error = attend(text, 64, 320)
    except Stopped:
        return
    assert not error < TOLERANCE, error


shows(attention_text(registers=(0, 4, 2, 6)))  # the order of the fragment
shows(attention_text(v_step=2))                # v's slices as if it were transposed
shows(attention_text(barrier=""))              # k and v are filled while others read
shows(attention_text(rescales=False))
