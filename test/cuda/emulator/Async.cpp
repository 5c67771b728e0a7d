//===- Async.cpp - cp.async ---------------------------------------------------------------------===//
//
// What a copy writes is poison from when it begins until a wait says that it is there.
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/emulator/Machine.h"

#include <cstring>

using namespace emulator;

void emulator::perform(AsyncCopy &copy) {
  if (copy.done)
    return;
  memcpy(copy.to, copy.from, copy.valid);
  memset(static_cast<char *>(copy.to) + copy.valid, 0, copy.bytes - copy.valid);
  copy.done = true;
}

ATTN_EMULATOR_FUNCTION void attn_emulator_cp_async(const char *at, char *to, const char *from, uint32_t bytes,
                                                   uint32_t valid) {
  if (valid > bytes)
    fail(Fault::launchFailed, at, "cp.async: expected to read at most %u bytes, got %u", bytes, valid);
  checkShared(at, "cp.async", to, bytes, bytes);
  if (valid)
    checkGlobal(at, "cp.async", from, valid, bytes);
  memset(to, poison, bytes);
  auto copy = std::make_shared<AsyncCopy>();
  copy->to = to, copy->from = from, copy->bytes = bytes, copy->valid = valid;
  block.current->copies.back().push_back(std::move(copy));
}

ATTN_EMULATOR_FUNCTION void attn_emulator_cp_async_commit_group() { block.current->copies.emplace_back(); }

/// Completes all but the last `pending` committed groups.
ATTN_EMULATOR_FUNCTION void attn_emulator_cp_async_wait_group(uint32_t pending) {
  auto &groups = block.current->copies;
  while (groups.size() - 1 > pending) {
    for (auto &copy : groups.front())
      perform(*copy);
    groups.erase(groups.begin());
  }
}
