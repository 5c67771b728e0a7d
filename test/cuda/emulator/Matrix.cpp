//===- Matrix.cpp - ldmatrix, stmatrix, mma.sync ------------------------------------------------===//
//
// Which lane holds which element: PTX ISA, "Warp-level matrix instructions". A register holds two 16-bit elements, the
// first one in its low half, or one of 32 bits. With group = lane / 4 and pair = lane % 4:
//   8×8 matrix:       row `group`, columns 2 pair, 2 pair + 1
//   A, 16 bits:       registers (group, 2 pair), (group + 8, 2 pair), (group, 2 pair + 8), (group + 8, 2 pair + 8)
//   B, 16 bits:       registers (2 pair, group), (2 pair + 8, group)
//   A, B of tf32:     the same with 4 and `pair` instead of 8 and 2 pair
//   C and D:          registers (group, 2 pair), (group, 2 pair + 1), (group + 8, 2 pair), (group + 8, 2 pair + 1)
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/emulator/Machine.h"
#include "test/cuda/emulator/Numbers.h"

#include <cstring>

using namespace emulator;

namespace {
/// ldmatrix and stmatrix: each lane's address and registers.
struct MatrixAccess {
  const char *at;
  char *address;
  uint32_t *registers;
  uint32_t count, transposed; ///< matrices of 8×8, 1 to 4
};
} // namespace

/// Calls function(matrix, row, address of its 8 elements); lane 8 matrix + row says where it is.
template <class Function> static void forEachRow(Collective &collective, Function function) {
  const uint32_t count = static_cast<MatrixAccess *>(collective.payload[0])->count;
  for (uint32_t lane = 0; lane < 8 * count; ++lane) {
    auto &access = *static_cast<MatrixAccess *>(collective.payload[lane]);
    checkShared(access.at, collective.operation, access.address, 16, 16);
    function(lane / 8, lane % 8, access.address);
  }
}

/// Calls function(register, matrix, row, column) for both halves of every register.
template <class Function> static void forEachElement(Collective &collective, Function function) {
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    auto &access = *static_cast<MatrixAccess *>(collective.payload[lane]);
    for (uint32_t matrix = 0; matrix < access.count; ++matrix)
      for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t row = lane / 4, column = lane % 4 * 2 + half;
        auto *element = reinterpret_cast<uint16_t *>(&access.registers[matrix]) + half;
        function(*element, matrix, access.transposed ? column : row, access.transposed ? row : column);
      }
  }
}

ATTN_EMULATOR_FUNCTION void attn_emulator_ldmatrix(const char *at, uint32_t *registers, char *address, uint32_t count,
                                                   uint32_t transposed) {
  MatrixAccess access{at, address, registers, count, transposed};
  together(at, "ldmatrix", allLanes, Lanes::aligned, &access, [](Collective &collective) {
    uint16_t elements[4][8][8];
    forEachRow(collective,
               [&](uint32_t matrix, uint32_t row, char *address) { memcpy(elements[matrix][row], address, 16); });
    forEachElement(collective, [&](uint16_t &element, uint32_t matrix, uint32_t row, uint32_t column) {
      element = elements[matrix][row][column];
    });
  });
}

ATTN_EMULATOR_FUNCTION void attn_emulator_stmatrix(const char *at, uint32_t *registers, char *address, uint32_t count,
                                                   uint32_t transposed) {
  MatrixAccess access{at, address, registers, count, transposed};
  together(at, "stmatrix", allLanes, Lanes::aligned, &access, [](Collective &collective) {
    uint16_t elements[4][8][8];
    forEachElement(collective, [&](uint16_t &element, uint32_t matrix, uint32_t row, uint32_t column) {
      elements[matrix][row][column] = element;
    });
    forEachRow(collective,
               [&](uint32_t matrix, uint32_t row, char *address) { memcpy(address, elements[matrix][row], 16); });
  });
}

namespace {
struct Product {
  NumberType type;
  uint32_t depth; ///< k
  const uint32_t *a, *b;
  const float *c;
  float *d;
};
} // namespace

static void executeProduct(Collective &collective) {
  const Product &first = *static_cast<Product *>(collective.payload[0]);
  const uint32_t depth = first.depth, perRegister = first.type == NumberType::tf32 ? 1 : 2;
  const uint32_t step = 4 * perRegister; // of k from one register of a row to the next
  float a[16][16], b[16][8];
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    const Product &self = *static_cast<Product *>(collective.payload[lane]);
    const uint32_t group = lane / 4, k = lane % 4 * perRegister;
    for (uint32_t half = 0; half < perRegister; ++half)
      for (uint32_t block = 0; block * step < depth; ++block) {
        const uint32_t at = k + half + block * step;
        for (uint32_t lower = 0; lower < 2; ++lower)
          a[group + 8 * lower][at] = toFloat(self.type, self.a[2 * block + lower], half);
        b[at][group] = toFloat(self.type, self.b[block], half);
      }
  }
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    const Product &self = *static_cast<Product *>(collective.payload[lane]);
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      double sum = self.c[i];
      for (uint32_t k = 0; k < depth; ++k)
        sum += double(a[row][k]) * double(b[k][column]);
      self.d[i] = float(sum);
    }
  }
}

/// D = A · B + C of 16×k, k×8 and 16×8.
ATTN_EMULATOR_FUNCTION void attn_emulator_mma_sync(const char *at, uint32_t type, uint32_t depth, const uint32_t *a,
                                                   const uint32_t *b, const float *c, float *d) {
  Product product{NumberType(type), depth, a, b, c, d};
  together(at, "mma.sync", allLanes, Lanes::aligned, &product, executeProduct);
}
