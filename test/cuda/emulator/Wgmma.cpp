//===- Wgmma.cpp - wgmma.mma_async --------------------------------------------------------------===//
//
// D [64, n] += A [64, k] · B [k, n] by the 4 warps of a warpgroup, where a row of k has 32 bytes. Warp w has rows 16 w
// …; a lane's registers of A and D are those of mma.sync (Matrix.cpp), D's for n / 8 matrices one after the other.
//
// The product happens some time between its issue and the wait for its group, and nobody may look at D before the wait.
// So what the issue gives as D's registers are not numbers but references: NaNs that hold the product's number and the
// register's. A later product takes them as they are; whoever wants numbers asks attn_emulator_accumulator, which
// refuses before the wait.
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/emulator/Machine.h"
#include "test/cuda/emulator/Numbers.h"

#include <cstring>

using namespace emulator;

namespace emulator {
struct WarpgroupProduct {
  const char *at;
  NumberType type;
  uint32_t columns;
  uint64_t descriptorA, descriptorB;
  bool transposedA, transposedB, hasRegisters, accumulates;
  float signA, signB;
  uint32_t rows;  ///< the first of this lane's two rows, 8 apart, and
  uint32_t pair;  ///< lane % 4
  float a[2][16]; ///< where A is in registers: both rows
  float d[128];
  std::shared_ptr<WarpgroupProduct> before; ///< whose D is this one's
  bool done = false, complete = false;      ///< computed; waited for
};
} // namespace emulator

// A reference: a signaling NaN, which no arithmetic returns, with 15 bits of the product's number, from 1 on, and 7 of
// the register's.
static constexpr uint32_t referenceBits = 0xff800000, quietBit = 0x400000, registerBits = 7, mostProducts = 0x7fff;
static bool isReference(uint32_t bits) {
  return (bits & (referenceBits | quietBit)) == referenceBits && bits != referenceBits;
}

//===----------------------------------------------------------------------===//
// Operands in shared memory
//===----------------------------------------------------------------------===//

namespace {
/// A matrix descriptor: PTX ISA, "Matrix descriptor format"; strides in bytes.
struct Descriptor {
  explicit Descriptor(uint64_t bits)
      : address(uint32_t(bits & 0x3fff) << 4), leading(uint32_t(bits >> 16 & 0x3fff) << 4),
        stride(uint32_t(bits >> 32 & 0x3fff) << 4), base(uint32_t(bits >> 49 & 7)),
        swizzle(uint32_t(bits >> 62) ? 4 - uint32_t(bits >> 62) : 0) {}
  uint32_t address, leading, stride, base;
  uint32_t swizzle; ///< bits: 3 for 128 bytes, 2 for 64, 1 for 32, 0 none
};
} // namespace

/// One element: `row` counts along m or n, `depth` along k. Its matrix lies in tiles of 8 rows of 16 << swizzle bytes;
/// rows go along m or n, or, transposed, along k.
static float element(const WarpgroupProduct &product, const Descriptor &from, bool transposed, uint32_t row,
                     uint32_t depth) {
  const uint32_t bytes = product.type == NumberType::tf32 ? 4 : 2, width = 16u << from.swizzle;
  uint32_t offset;
  if (!transposed) {
    const uint32_t byte = depth * bytes;
    offset = row / 8 * from.stride + row % 8 * width + (from.swizzle ? byte : byte / 16 * from.leading + byte % 16);
  } else {
    const uint32_t byte = row * bytes, tile = byte / width;
    offset =
        depth % 8 * width + byte % width +
        (from.swizzle ? tile * from.leading + depth / 8 * from.stride : tile * from.stride + depth / 8 * from.leading);
  }
  auto bits = reinterpret_cast<uintptr_t>(block.shared) & ~uintptr_t(0x3ffff);
  bits += (from.address + offset) & 0x3ffff;
  bits ^= (bits >> 7 & ((1u << from.swizzle) - 1)) << 4;
  const auto *address = reinterpret_cast<const char *>(bits);
  checkShared(product.at, "wgmma", address, bytes, bytes);
  uint32_t value = 0;
  memcpy(&value, address, bytes);
  return toFloat(product.type, value, 0);
}

static void compute(WarpgroupProduct &product) {
  if (product.done)
    return;
  if (product.before) {
    compute(*product.before);
    memcpy(product.d, product.before->d, sizeof product.d);
    product.before.reset();
  }
  const uint32_t depth = product.type == NumberType::tf32 ? 8 : 16;
  const Descriptor a(product.descriptorA), b(product.descriptorB);
  for (uint32_t lower = 0; lower < 2; ++lower)
    if (!product.hasRegisters)
      for (uint32_t k = 0; k < depth; ++k)
        product.a[lower][k] = element(product, a, product.transposedA, product.rows + 8 * lower, k);
  for (uint32_t matrix = 0; matrix < product.columns / 8; ++matrix)
    for (uint32_t half = 0; half < 2; ++half) {
      float column[16];
      for (uint32_t k = 0; k < depth; ++k)
        column[k] = element(product, b, product.transposedB, matrix * 8 + product.pair * 2 + half, k);
      for (uint32_t lower = 0; lower < 2; ++lower) {
        float &d = product.d[matrix * 4 + lower * 2 + half];
        double sum = product.accumulates ? d : 0.0;
        for (uint32_t k = 0; k < depth; ++k)
          sum += double(product.signA * product.a[lower][k]) * double(product.signB * column[k]);
        d = float(sum);
      }
    }
  product.done = true;
}

//===----------------------------------------------------------------------===//
// Issue
//===----------------------------------------------------------------------===//

namespace {
struct Issue {
  const uint32_t *a;
  WarpgroupProduct *product;
};
} // namespace

/// Rows of A from the registers of the four lanes that have them.
static void gatherRows(Collective &collective) {
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    const Issue &self = *static_cast<Issue *>(collective.payload[lane]);
    if (!self.a)
      continue;
    const uint32_t perRegister = self.product->type == NumberType::tf32 ? 1 : 2;
    for (uint32_t pair = 0; pair < 4; ++pair) {
      const uint32_t *from = static_cast<Issue *>(collective.payload[lane / 4 * 4 + pair])->a;
      for (uint32_t i = 0; i < 4; ++i)
        for (uint32_t half = 0; half < perRegister; ++half)
          self.product->a[i % 2][(i / 2 * 4 + pair) * perRegister + half] = toFloat(self.product->type, from[i], half);
    }
  }
}

/// `flags`: 1 A is transposed, 2 B is, 4 D is accumulated, 8 A is negated, 16 B is. `a`: registers, or null.
/// `registers`: D.
ATTN_EMULATOR_FUNCTION void attn_emulator_wgmma(const char *at, uint32_t type, uint32_t columns, const uint32_t *a,
                                                uint64_t descriptorA, uint64_t descriptorB, uint32_t flags,
                                                uint32_t *registers) {
  Thread &self = *block.current;
  if (self.needsFence)
    fail(Fault::launchFailed, at, "wgmma: expected a wgmma.fence after the accumulators were used");
  auto product = std::make_shared<WarpgroupProduct>();
  product->at = at;
  product->type = NumberType(type);
  product->columns = columns;
  product->descriptorA = descriptorA, product->descriptorB = descriptorB;
  product->transposedA = flags & 1, product->transposedB = flags & 2, product->accumulates = flags & 4;
  product->signA = flags & 8 ? -1 : 1, product->signB = flags & 16 ? -1 : 1;
  product->hasRegisters = a;
  product->rows = self.warp->number % 4 * 16 + self.lane / 4;
  product->pair = self.lane % 4;
  if (isReference(registers[0]) && product->accumulates) {
    auto found = self.accumulators.find((registers[0] & ~referenceBits) >> registerBits);
    if (found == self.accumulators.end())
      fail(Fault::launchFailed, at, "wgmma: the accumulators belong to a later product already");
    product->before = found->second;
    if (product->before->columns != columns)
      fail(Fault::launchFailed, at, "wgmma: accumulators of %u columns for %u", product->before->columns, columns);
    self.accumulators.erase(found); // the same registers
  } else {
    memcpy(product->d, registers, columns / 2 * 4);
  }
  Issue issue{a, product.get()};
  together(at, "wgmma", allLanes, Lanes::aligned, &issue, gatherRows);
  const uint32_t number = ++self.productCount;
  if (number > mostProducts)
    fail(Fault::launchFailed, at, "wgmma: the emulator cannot tell more than %u products of a thread apart",
         mostProducts);
  self.accumulators[number] = product;
  self.products.back().push_back(product);
  for (uint32_t i = 0; i < columns / 2; ++i)
    registers[i] = referenceBits | number << registerBits | i;
  if (randomNumbers() % 2) // as early as it can be, or as late
    compute(*product);
}

ATTN_EMULATOR_FUNCTION void attn_emulator_wgmma_fence() { block.current->needsFence = false; }
ATTN_EMULATOR_FUNCTION void attn_emulator_wgmma_commit() { block.current->products.emplace_back(); }

ATTN_EMULATOR_FUNCTION void attn_emulator_wgmma_wait(uint32_t pending) {
  auto &groups = block.current->products;
  while (groups.size() - 1 > pending) {
    for (auto &product : groups.front()) {
      compute(*product);
      product->complete = true;
    }
    groups.erase(groups.begin());
  }
}

/// A value out of a struct that may be an accumulator: the number that a reference stands for.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_accumulator(const char *at, uint32_t bits) {
  if (!isReference(bits))
    return bits;
  Thread &self = *block.current;
  auto found = self.accumulators.find((bits & ~referenceBits) >> registerBits);
  if (found == self.accumulators.end())
    fail(Fault::launchFailed, at, "reads an accumulator of wgmma that a later product has taken");
  const WarpgroupProduct &product = *found->second;
  if (!product.complete)
    fail(Fault::launchFailed, at, "reads an accumulator of the wgmma at %s before waiting for it", product.at);
  self.needsFence = true;
  memcpy(&bits, &product.d[bits & ((1 << registerBits) - 1)], 4);
  return bits;
}

/// All four warps of a warpgroup take part in each product.
void emulator::checkProducts() {
  for (uint32_t i = 0; i < block.count; ++i) {
    const uint32_t first = i / 128 * 128, count = block.threads[i]->productCount;
    if (count && (first + 128 > block.count || block.threads[first]->productCount != count))
      return failBlock(Fault::launchFailed, "thread %u took part in %u products of its warpgroup, thread %u in %u", i,
                       count, first, block.threads[first]->productCount);
  }
}
