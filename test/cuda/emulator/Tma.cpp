//===- Tma.cpp - cp.async.bulk.tensor -----------------------------------------------------------===//
//
// Boxes of tensors that a map describes (Driver.h). What a box writes in shared memory is poison from when the copy
// begins until it happens, at a random time; the mbarrier then counts its bytes.
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/emulator/Driver.h"
#include "test/cuda/emulator/Machine.h"

#include <algorithm>
#include <array>
#include <cstring>

using namespace emulator;

using Coordinates = std::array<int32_t, 5>;

static TensorMap readMap(const char *at, const void *address, uint32_t rank) {
  TensorMap map;
  memcpy(&map, address, sizeof map);
  if (map.magic != tensorMapMagic)
    fail(Fault::launchFailed, at, "cp.async.bulk.tensor: %p holds no tensor map", address);
  if (map.rank != rank)
    fail(Fault::launchFailed, at, "cp.async.bulk.tensor: %u coordinates for a tensor of rank %u", rank, map.rank);
  return map;
}

static uint32_t boxBytes(const TensorMap &map) {
  uint32_t bytes = map.elementBytes;
  for (uint32_t i = 0; i < map.rank; ++i)
    bytes *= map.box[i];
  return bytes;
}

/// Where a byte of a box lies: the bits 4 … of its shared address are xored with bits 7 ….
static char *swizzled(char *address, uint32_t swizzle) {
  const auto bits = reinterpret_cast<uintptr_t>(address);
  return reinterpret_cast<char *>(bits ^ ((bits >> 7 & ((1u << swizzle) - 1)) << 4));
}

/// Calls function(place in shared memory, place in global memory or null where that is outside) for pieces of 16 bytes
/// or, where the tensor ends inside one, for each element; the third argument is how many bytes.
template <class Function>
static void forEachPiece(const char *at, const TensorMap &map, char *shared, const Coordinates &from,
                         Function function) {
  uint32_t rows = 1;
  for (uint32_t i = 1; i < map.rank; ++i)
    rows *= map.box[i];
  const uint32_t rowBytes = map.box[0] * map.elementBytes;
  for (uint32_t row = 0; row < rows; ++row) {
    uint64_t offset = 0;
    bool inside = true;
    for (uint32_t i = 1, rest = row; i < map.rank; rest /= map.box[i], ++i) {
      const int64_t index = int64_t(from[i]) + rest % map.box[i];
      inside &= index >= 0 && uint64_t(index) < map.dims[i];
      offset += uint64_t(index) * map.strides[i - 1];
    }
    for (uint32_t byte = 0; byte < rowBytes; byte += map.elementBytes) {
      const int64_t column = int64_t(from[0]) + byte / map.elementBytes;
      char *global = nullptr;
      if (inside && column >= 0 && uint64_t(column) < map.dims[0]) {
        global = reinterpret_cast<char *>(map.address + offset + uint64_t(column) * map.elementBytes);
        if (byte == 0 || column == 0)
          checkGlobal(at, "cp.async.bulk.tensor", global,
                      std::min<uint64_t>(rowBytes - byte, (map.dims[0] - uint64_t(column)) * map.elementBytes), 1);
      }
      function(swizzled(shared + row * rowBytes + byte, map.swizzle), global, map.elementBytes);
    }
  }
}

static void fill(char *to, const TensorMap &map) {
  memset(to, 0, map.elementBytes);
  if (map.fillsNan)
    memset(to, 0xff, map.elementBytes);
}

ATTN_EMULATOR_FUNCTION void attn_emulator_tma_load(const char *at, char *to, const void *mapAddress, uint32_t rank,
                                                   const int32_t *coordinates, char *mbarrier) {
  const TensorMap map = readMap(at, mapAddress, rank);
  const uint32_t bytes = boxBytes(map);
  checkShared(at, "cp.async.bulk.tensor", to, bytes, 128);
  checkShared(at, "cp.async.bulk.tensor", mbarrier, 8, 8);
  Coordinates from{};
  std::copy_n(coordinates, rank, from.begin());
  memset(to, poison, bytes);
  block.asynchronous.push_back([=] {
    forEachPiece(at, map, to, from, [&](char *shared, const char *global, uint32_t count) {
      if (global)
        memcpy(shared, global, count);
      else
        fill(shared, map);
    });
    completeTransactions(at, mbarrier, bytes);
  });
}

/// Reads shared memory as late as it may: when the thread waits for the group.
ATTN_EMULATOR_FUNCTION void attn_emulator_tma_store(const char *at, const void *mapAddress, char *from, uint32_t rank,
                                                    const int32_t *coordinates) {
  const TensorMap map = readMap(at, mapAddress, rank);
  checkShared(at, "cp.async.bulk.tensor", from, boxBytes(map), 128);
  Coordinates to{};
  std::copy_n(coordinates, rank, to.begin());
  block.current->stores.back().push_back([=] {
    forEachPiece(at, map, from, to, [&](const char *shared, char *global, uint32_t count) {
      if (global)
        memcpy(global, shared, count);
    });
  });
}

ATTN_EMULATOR_FUNCTION void attn_emulator_bulk_commit_group() { block.current->stores.emplace_back(); }

ATTN_EMULATOR_FUNCTION void attn_emulator_bulk_wait_group(uint32_t pending) {
  auto &groups = block.current->stores;
  while (groups.size() - 1 > pending) {
    for (auto &store : groups.front())
      store();
    groups.erase(groups.begin());
  }
}
