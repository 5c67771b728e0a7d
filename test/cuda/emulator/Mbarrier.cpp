//===- Mbarrier.cpp - Barriers that lie in shared memory ----------------------------------------===//
//
// A phase is complete when all arrivals and all bytes have come. Meanings: PTX ISA, "mbarrier".
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/emulator/Machine.h"

#include <cstring>

using namespace emulator;

/// What the object's memory holds while nobody writes over it.
static constexpr uint64_t inMemory = 0x6d62617272696572;

static Mbarrier &find(const char *at, const char *operation, char *address) {
  checkShared(at, operation, address, 8, 8);
  auto found = block.mbarriers.find(address);
  if (found == block.mbarriers.end())
    fail(Fault::launchFailed, at, "%s: there is no mbarrier at shared address %lld", operation,
         (long long)(address - block.shared));
  if (memcmp(address, &inMemory, 8))
    fail(Fault::launchFailed, at, "%s: something was written over the mbarrier at shared address %lld", operation,
         (long long)(address - block.shared));
  return found->second;
}

static void finishPhase(Mbarrier &mbarrier, char *address) {
  if (mbarrier.pending || mbarrier.transactions)
    return;
  ++mbarrier.phase;
  mbarrier.pending = mbarrier.expected;
  for (uint32_t i = 0; i < block.count; ++i) {
    Thread &thread = *block.threads[i];
    if (!thread.exited && thread.wait.object == Wait::mbarrier &&
        thread.wait.number == reinterpret_cast<uintptr_t>(address))
      makeReady(thread);
  }
}

static void expect(const char *at, Mbarrier &mbarrier, int64_t bytes) {
  mbarrier.transactions += bytes;
  constexpr int64_t limit = (1 << 20) - 1;
  if (mbarrier.transactions > limit || mbarrier.transactions < -limit)
    fail(Fault::launchFailed, at, "mbarrier: a phase cannot wait for %lld bytes", (long long)mbarrier.transactions);
}

static uint64_t arrive(const char *at, Mbarrier &mbarrier, char *address, uint32_t count) {
  const uint64_t phase = mbarrier.phase;
  if (!count || count > mbarrier.pending)
    fail(Fault::launchFailed, at, "mbarrier.arrive: %u arrivals at the mbarrier at shared address %lld, which lacks %u",
         count, (long long)(address - block.shared), mbarrier.pending);
  mbarrier.pending -= count;
  finishPhase(mbarrier, address);
  return phase;
}

void emulator::completeTransactions(const char *at, char *address, uint32_t bytes) {
  Mbarrier &mbarrier = find(at, "mbarrier.complete_tx", address);
  expect(at, mbarrier, -int64_t(bytes));
  finishPhase(mbarrier, address);
}

void emulator::checkMbarriers() {
  for (auto &[address, mbarrier] : block.mbarriers)
    if (mbarrier.transactions)
      return failBlock(Fault::launchFailed, "ends while the mbarrier at shared address %lld waits for %lld bytes",
                       (long long)(address - block.shared), (long long)mbarrier.transactions);
}

ATTN_EMULATOR_FUNCTION void attn_emulator_mbarrier_init(const char *at, char *address, uint32_t count) {
  checkShared(at, "mbarrier.init", address, 8, 8);
  if (!count || count >= 1 << 20)
    fail(Fault::launchFailed, at, "mbarrier.init: expected 1 to 1048575 arrivals, got %u", count);
  if (block.mbarriers.count(address))
    fail(Fault::launchFailed, at, "mbarrier.init: there is an mbarrier at shared address %lld already",
         (long long)(address - block.shared));
  block.mbarriers[address] = {count, count, 0, 0};
  memcpy(address, &inMemory, 8);
}

ATTN_EMULATOR_FUNCTION void attn_emulator_mbarrier_inval(const char *at, char *address) {
  find(at, "mbarrier.inval", address);
  block.mbarriers.erase(address);
  memset(address, poison, 8);
}

ATTN_EMULATOR_FUNCTION uint64_t attn_emulator_mbarrier_arrive(const char *at, char *address, uint32_t count) {
  return arrive(at, find(at, "mbarrier.arrive", address), address, count);
}

ATTN_EMULATOR_FUNCTION uint64_t attn_emulator_mbarrier_arrive_expect_tx(const char *at, char *address, uint32_t bytes) {
  Mbarrier &mbarrier = find(at, "mbarrier.arrive.expect_tx", address);
  expect(at, mbarrier, bytes);
  return arrive(at, mbarrier, address, 1);
}

ATTN_EMULATOR_FUNCTION void attn_emulator_mbarrier_expect_tx(const char *at, char *address, uint32_t bytes) {
  expect(at, find(at, "mbarrier.expect_tx", address), bytes);
}

/// Arrives when all copies of this thread that have begun are there.
ATTN_EMULATOR_FUNCTION void attn_emulator_cp_async_mbarrier_arrive(const char *at, char *address, uint32_t noIncrease) {
  Mbarrier &mbarrier = find(at, "cp.async.mbarrier.arrive", address);
  if (!noIncrease)
    ++mbarrier.pending;
  std::vector<std::shared_ptr<AsyncCopy>> copies;
  for (auto &group : block.current->copies)
    copies.insert(copies.end(), group.begin(), group.end());
  block.asynchronous.push_back([=] {
    for (auto &copy : copies)
      perform(*copy);
    arrive(at, find(at, "cp.async.mbarrier.arrive", address), address, 1);
  });
}

static void waitForPhase(const char *at, char *address, uint32_t parity) {
  Wait wait;
  wait.operation = "mbarrier.try_wait";
  wait.at = at;
  wait.object = Wait::mbarrier;
  wait.number = reinterpret_cast<uintptr_t>(address);
  wait.parity = parity;
  waitFor(wait);
}

/// nvvm.mbarrier.try_wait.parity, which tries until the phase of this parity is complete.
ATTN_EMULATOR_FUNCTION void attn_emulator_mbarrier_wait_parity(const char *at, char *address, uint32_t parity) {
  while ((find(at, "mbarrier.try_wait", address).phase & 1) == (parity & 1))
    waitForPhase(at, address, parity & 1);
}

static bool isComplete(const char *at, char *address, uint64_t value, uint32_t isParity) {
  const Mbarrier &mbarrier = find(at, "mbarrier.try_wait", address);
  return isParity ? (mbarrier.phase & 1) != (value & 1) : mbarrier.phase > value;
}

/// May wait, and may give up: both happen. `value` is a parity or what an arrival returned.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_mbarrier_try_wait(const char *at, char *address, uint64_t value,
                                                                uint32_t isParity) {
  if (!isComplete(at, address, value, isParity) && randomNumbers() % 4)
    waitForPhase(at, address, uint32_t(value & 1));
  return isComplete(at, address, value, isParity);
}

ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_mbarrier_test_wait(const char *at, char *address, uint64_t value,
                                                                 uint32_t isParity) {
  if (!isComplete(at, address, value, isParity))
    block.current->fiber.suspend(); // whoever tests in a loop lets others run
  return isComplete(at, address, value, isParity);
}
