//===- Machine.h - Blocks, warps and threads of the emulated device -----------------------------===//
//
// One host thread runs one block at a time. Its threads are fibers; one runs until it must wait for others. Blocks,
// warps and asynchronous work are taken in an order that depends on a seed, so that code which relies on an order that
// no barrier gives fails with some seed.
//
// Every function that generated code calls has C linkage, a name that begins with attn_emulator_, and, where it can
// fail, a first argument `at`: the place in the source, "file:line".
//===--------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEST_CUDA_MACHINE_H
#define ATTN_TEST_CUDA_MACHINE_H

#include "test/cuda/emulator/Fiber.h"
#include "test/cuda/emulator/Image.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace emulator {

constexpr unsigned warpSize = 32;
constexpr uint32_t allLanes = 0xffffffff;
/// What memory holds that nobody wrote: NaN as f32, f16 and bf16.
constexpr unsigned char poison = 0xff;

/// CUresult values that a kernel can end with.
enum class Fault : int {
  none = 0,
  illegalAddress = 700,
  timeout = 702, ///< a deadlock, which a device would only end by its watchdog
  misalignedAddress = 716,
  launchFailed = 719,
};

struct Warp;

/// What a thread waits for, to be printed in the report of a deadlock.
struct Wait {
  const char *operation = nullptr, *at = nullptr;
  enum Object { lanes, barrier, mbarrier } object = lanes;
  uint64_t number = 0; ///< mask, number of the barrier, or address
  uint32_t parity = 0; ///< of the phase of an mbarrier
};

/// A copy of one cp.async.
struct AsyncCopy {
  void *to;
  const void *from;
  uint32_t bytes, valid; ///< after `valid` bytes of the source come zeros
  bool done = false;
};

/// A product of a warpgroup, as one thread takes part in it: docs in Wgmma.cpp.
struct WarpgroupProduct;

struct Thread {
  Fiber fiber;
  Warp *warp = nullptr;            ///< none: the fiber on which asynchronous work runs
  uint32_t index[3], number, lane; ///< threadIdx, its number in the block
  bool exited;
  Wait wait;
  bool atBarrier; ///< has arrived at one that is not complete
  uint32_t barrierThreads,
      barrierTrue; ///< threads of the barrier that let this one go, and how many predicates were true
  /// cp.async: groups not known to be complete, oldest first; the last one is not committed yet.
  std::vector<std::vector<std::shared_ptr<AsyncCopy>>> copies;
  /// The same of cp.async.bulk from shared to global memory.
  std::vector<std::vector<std::function<void()>>> stores;
  /// The same of wgmma, and all products whose results may still be asked for, by number.
  std::vector<std::vector<std::shared_ptr<WarpgroupProduct>>> products;
  std::map<uint32_t, std::shared_ptr<WarpgroupProduct>> accumulators;
  uint32_t productCount;
  bool needsFence; ///< accumulators were read or written since the last wgmma.fence
};

/// Which lanes may execute an instruction together.
enum class Lanes {
  diverged, ///< from different places; who has exited does not count
  together, ///< from the same place; who has exited does not count
  aligned,  ///< from the same place, and none may be missing
};

/// Lanes of a warp that execute one instruction together.
struct Collective {
  const char *operation, *at;
  Lanes lanes;
  void (*execute)(Collective &);
  uint32_t mask, arrived;
  void *payload[warpSize]; ///< of each arrived lane, on its stack
};

struct Warp {
  uint32_t number, lanes; ///< lanes that exist
  uint32_t ready, exited; ///< masks
  Thread *threads[warpSize];
  std::vector<Collective> collectives; ///< that lanes wait in
};

/// One of the 16 of bar.sync.
struct Barrier {
  uint32_t expected = 0;  ///< threads; 0: all that have not exited
  uint32_t trueCount = 0; ///< of the predicates so far
  const char *at = nullptr;
  std::vector<Thread *> arrived; ///< those with atBarrier wait
};

/// An mbarrier: its 8 bytes of shared memory only say that it is one.
struct Mbarrier {
  uint32_t expected, pending; ///< arrivals of each phase, and those that the current one lacks
  int64_t transactions;       ///< bytes that the current phase waits for
  uint64_t phase;             ///< phases that are complete
};

struct Launch {
  const Kernel *kernel;
  uint32_t grid[3], block[3];
  uint64_t dynamicShared;
  void *const *parameters;
};

/// The block that runs now.
struct Block {
  const Launch *launch;
  uint32_t index[3];
  std::vector<std::unique_ptr<Thread>> threads; ///< kept from block to block, with their stacks
  std::vector<Warp> warps;
  uint32_t count = 0, live = 0; ///< threads of the block, and those that have not exited
  Barrier barriers[16];
  std::map<char *, Mbarrier> mbarriers;
  char *shared = nullptr; ///< window + something, so that it ends where a page that faults begins
  uint64_t sharedBytes = 0;
  std::vector<std::function<void()>> asynchronous; ///< work that may happen at any time
  Thread *current = nullptr;
  Fault fault = Fault::none;
};
extern Block block;
extern std::mt19937_64 randomNumbers;

/// Runs every block of a launch. Problems are printed on stderr.
Fault run(const Launch &launch);

/// Ends the launch with a message that names kernel, block, thread and place. Called on a fiber.
[[noreturn]] void fail(Fault fault, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));

/// Ends the launch with a message about the block; not on a fiber.
void failBlock(Fault fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Suspends the current thread until makeReady(thread).
void waitFor(const Wait &wait);
void makeReady(Thread &thread);

/// Waits until every lane of `mask` is here; the last one calls `execute`.
void together(const char *at, const char *operation, uint32_t mask, Lanes lanes, void *payload,
              void (*execute)(Collective &));

/// After a thread has exited: completes what waited only for it.
void finishBarriers();

/// `bytes` of what the mbarrier's phase waits for are there.
void completeTransactions(const char *at, char *mbarrier, uint32_t bytes);
/// When a block ends: says what is unfinished.
void checkMbarriers();
void checkProducts();
/// Performs a copy, if it was not yet.
void perform(AsyncCopy &copy);

/// Whether [address, address + bytes) lies inside the block's shared memory.
bool isShared(const void *address, uint64_t bytes);
/// Fails unless `address` is `alignment`-aligned shared memory of `bytes` bytes.
void checkShared(const char *at, const char *operation, const void *address, uint64_t bytes, uint64_t alignment);
/// The same for device memory.
void checkGlobal(const char *at, const char *operation, const void *address, uint64_t bytes, uint64_t alignment);

} // namespace emulator

/// A function that generated code calls.
#define ATTN_EMULATOR_FUNCTION extern "C" __attribute__((visibility("default")))

#endif // ATTN_TEST_CUDA_MACHINE_H
