//===- Simt.cpp - Special registers, shuffles, votes, barriers ----------------------------------===//
//
// Meanings of the instructions: PTX ISA, "Parallel Synchronization and Communication Instructions" and shfl.sync.
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/emulator/Machine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <time.h>

using namespace emulator;

// Where the block's static and dynamic shared memory begin.
ATTN_EMULATOR_FUNCTION char *attn_emulator_shared(uint64_t offset) { return block.shared + offset; }
ATTN_EMULATOR_FUNCTION char *attn_emulator_dynamic_shared() { return block.shared + block.launch->kernel->sharedBytes; }

/// A load or store that claims an alignment.
ATTN_EMULATOR_FUNCTION void attn_emulator_check_alignment(const char *at, const void *address, uint64_t alignment) {
  if (reinterpret_cast<uintptr_t>(address) & (alignment - 1))
    fail(Fault::misalignedAddress, at, "address %p is not aligned to %llu bytes", address,
         (unsigned long long)alignment);
}

/// Lets others run: a loop that waits for memory would never end.
ATTN_EMULATOR_FUNCTION void attn_emulator_yield() { block.current->fiber.suspend(); }

//===----------------------------------------------------------------------===//
// Special registers: read.ptx.sreg.NAME
//===----------------------------------------------------------------------===//

#define REGISTER(name, value)                                                                                          \
  ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_sreg_##name() { return value; }
REGISTER(tid_x, block.current->index[0])
REGISTER(tid_y, block.current->index[1])
REGISTER(tid_z, block.current->index[2])
REGISTER(ntid_x, block.launch->block[0])
REGISTER(ntid_y, block.launch->block[1])
REGISTER(ntid_z, block.launch->block[2])
REGISTER(ctaid_x, block.index[0])
REGISTER(ctaid_y, block.index[1])
REGISTER(ctaid_z, block.index[2])
REGISTER(nctaid_x, block.launch->grid[0])
REGISTER(nctaid_y, block.launch->grid[1])
REGISTER(nctaid_z, block.launch->grid[2])
REGISTER(laneid, block.current->lane)
REGISTER(warpid, block.current->warp->number)
REGISTER(nwarpid, uint32_t(block.warps.size()))
REGISTER(warpsize, warpSize)
REGISTER(smid, 0)
REGISTER(nsmid, 1)
REGISTER(lanemask_eq, 1u << block.current->lane)
REGISTER(lanemask_lt, (1u << block.current->lane) - 1)
REGISTER(lanemask_le, (2u << block.current->lane) - 1)
REGISTER(lanemask_gt, ~((2u << block.current->lane) - 1))
REGISTER(lanemask_ge, ~((1u << block.current->lane) - 1))
REGISTER(dynamic_smem_size, uint32_t(block.launch->dynamicShared))
REGISTER(total_smem_size, uint32_t(block.sharedBytes))
// Clusters of one block.
REGISTER(cluster_ctarank, 0)
REGISTER(cluster_nctarank, 1)
REGISTER(cluster_ctaid_x, 0)
REGISTER(cluster_ctaid_y, 0)
REGISTER(cluster_ctaid_z, 0)
REGISTER(cluster_nctaid_x, 1)
REGISTER(cluster_nctaid_y, 1)
REGISTER(cluster_nctaid_z, 1)
REGISTER(clusterid_x, block.index[0])
REGISTER(clusterid_y, block.index[1])
REGISTER(clusterid_z, block.index[2])
#undef REGISTER

ATTN_EMULATOR_FUNCTION uint64_t attn_emulator_sreg_globaltimer() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return uint64_t(now.tv_sec) * 1000000000 + uint64_t(now.tv_nsec);
}
ATTN_EMULATOR_FUNCTION uint64_t attn_emulator_sreg_clock64() { return attn_emulator_sreg_globaltimer(); }
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_sreg_clock() { return uint32_t(attn_emulator_sreg_globaltimer()); }

//===----------------------------------------------------------------------===//
// Within a warp
//===----------------------------------------------------------------------===//

namespace {
enum ShuffleKind : uint32_t { butterfly, up, down, indexed }; // as in NVVM::ShflKind

struct Shuffle {
  const char *at;
  uint32_t value, offset, clamp, kind;
  uint32_t result;
  bool isValid;
};
} // namespace

static void executeShuffle(Collective &collective) {
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    if (!(collective.arrived >> lane & 1))
      continue;
    Shuffle &self = *static_cast<Shuffle *>(collective.payload[lane]);
    const uint32_t segment = self.clamp >> 8 & 31, clamp = self.clamp & 31, offset = self.offset & 31;
    const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
    int source = 0;
    switch (self.kind) {
    case butterfly:
      source = lane ^ offset;
      break;
    case up:
      source = int(lane) - int(offset);
      break;
    case down:
      source = lane + offset;
      break;
    case indexed:
      source = first | (offset & ~segment);
      break;
    }
    self.isValid = self.kind == up ? source >= last : source <= last;
    if (!self.isValid)
      source = lane;
    if (!(collective.arrived >> source & 1))
      fail(Fault::launchFailed, self.at, "shfl.sync: lane %u reads lane %d, which %s", lane, source,
           collective.mask >> source & 1 ? "has exited" : "is not in the mask");
    self.result = static_cast<Shuffle *>(collective.payload[source])->value;
  }
}

/// `valid`: where the predicate goes, or null.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_shfl_sync(const char *at, uint32_t mask, uint32_t value, uint32_t offset,
                                                        uint32_t clamp, uint32_t kind, uint32_t *valid) {
  Shuffle shuffle{at, value, offset, clamp, kind, 0, false};
  together(at, "shfl.sync", mask, Lanes::diverged, &shuffle, executeShuffle);
  if (valid)
    *valid = shuffle.isValid;
  return shuffle.result;
}

namespace {
/// vote, redux, match: each lane's value in, one result out.
struct Reduction {
  uint32_t value, kind, result;
  float asFloat() const {
    float number;
    memcpy(&number, &value, 4);
    return number;
  }
};
} // namespace

template <class Function> static void forEachLane(Collective &collective, Function function) {
  for (uint32_t lane = 0; lane < warpSize; ++lane)
    if (collective.arrived >> lane & 1)
      function(lane, *static_cast<Reduction *>(collective.payload[lane]));
}

/// Kinds as in NVVM::VoteSyncKind: any, all, ballot, uni.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_vote_sync(const char *at, uint32_t mask, uint32_t predicate,
                                                        uint32_t kind) {
  Reduction vote{predicate & 1, kind, 0};
  together(at, "vote.sync", mask, Lanes::diverged, &vote, [](Collective &collective) {
    uint32_t ballot = 0;
    forEachLane(collective, [&](uint32_t lane, Reduction &self) { ballot |= self.value << lane; });
    forEachLane(collective, [&](uint32_t, Reduction &self) {
      const uint32_t results[] = {ballot != 0, ballot == collective.arrived, ballot,
                                  ballot == 0 || ballot == collective.arrived};
      self.result = results[self.kind & 3];
    });
  });
  return vote.result;
}

/// Kinds as in NVVM::ReductionKind: add, and, max, min, or, umax, umin, xor, fmin, fmax.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_redux_sync(const char *at, uint32_t value, uint32_t kind, uint32_t mask) {
  Reduction reduction{value, kind, 0};
  together(at, "redux.sync", mask, Lanes::diverged, &reduction, [](Collective &collective) {
    bool first = true;
    Reduction total{};
    forEachLane(collective, [&](uint32_t, Reduction &self) {
      if (first) {
        total = self;
        first = false;
        return;
      }
      const uint32_t a = total.value, b = self.value;
      float number;
      switch (self.kind) {
      case 1:
        total.value = a + b;
        break;
      case 2:
        total.value = a & b;
        break;
      case 3:
        total.value = uint32_t(std::max(int32_t(a), int32_t(b)));
        break;
      case 4:
        total.value = uint32_t(std::min(int32_t(a), int32_t(b)));
        break;
      case 5:
        total.value = a | b;
        break;
      case 6:
        total.value = std::max(a, b);
        break;
      case 7:
        total.value = std::min(a, b);
        break;
      case 8:
        total.value = a ^ b;
        break;
      case 9:
        number = fminf(total.asFloat(), self.asFloat());
        memcpy(&total.value, &number, 4);
        break;
      case 10:
        number = fmaxf(total.asFloat(), self.asFloat());
        memcpy(&total.value, &number, 4);
        break;
      }
    });
    forEachLane(collective, [&](uint32_t, Reduction &self) { self.result = total.value; });
  });
  return reduction.result;
}

/// `all`: the mask where every lane has the same value, otherwise 0; any: the lanes that have this lane's value.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_match_sync(const char *at, uint32_t mask, uint32_t value, uint32_t all) {
  Reduction match{value, all, 0};
  together(at, "match.sync", mask, Lanes::diverged, &match, [](Collective &collective) {
    forEachLane(collective, [&](uint32_t, Reduction &self) {
      uint32_t same = 0;
      forEachLane(collective,
                  [&](uint32_t lane, Reduction &other) { same |= uint32_t(other.value == self.value) << lane; });
      self.result = self.kind && same != collective.arrived ? 0 : same;
    });
  });
  return match.result;
}

/// Any lane may be elected; here a random one.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_elect_sync(const char *at, uint32_t mask) {
  Reduction election{};
  together(at, "elect.sync", mask, Lanes::diverged, &election, [](Collective &collective) {
    uint32_t number = randomNumbers() % __builtin_popcount(collective.arrived);
    forEachLane(collective, [&](uint32_t, Reduction &self) { self.result = number-- == 0; });
  });
  return election.result;
}

ATTN_EMULATOR_FUNCTION void attn_emulator_bar_warp_sync(const char *at, uint32_t mask) {
  together(at, "bar.warp.sync", mask, Lanes::diverged, nullptr, [](Collective &) {});
}

/// Instructions of whole warps that only change what a device does, not what it computes: setmaxnreg.
ATTN_EMULATOR_FUNCTION void attn_emulator_aligned(const char *at, const char *operation) {
  together(at, operation, allLanes, Lanes::aligned, nullptr, [](Collective &) {});
}

//===----------------------------------------------------------------------===//
// Within a block
//===----------------------------------------------------------------------===//

/// Lets the threads go if all have arrived.
static void finishBarrier(unsigned number) {
  Barrier &barrier = block.barriers[number];
  if (barrier.arrived.empty() || barrier.arrived.size() < (barrier.expected ? barrier.expected : block.live))
    return;
  for (Thread *thread : barrier.arrived) {
    if (!thread->atBarrier)
      continue;
    thread->atBarrier = false;
    thread->barrierThreads = uint32_t(barrier.arrived.size());
    thread->barrierTrue = barrier.trueCount;
    makeReady(*thread);
  }
  barrier.trueCount = 0;
  barrier.arrived.clear();
}

void emulator::finishBarriers() {
  for (unsigned number = 0; number < 16; ++number)
    if (!block.barriers[number].expected)
      finishBarrier(number);
}

namespace {
/// What a lane brings to bar.sync or bar.arrive.
struct Arrival {
  uint32_t number, threads, predicate;
  bool waits;
};
} // namespace

/// Whole warps arrive.
static void executeArrival(Collective &collective) {
  const Arrival *first = nullptr;
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    if (!(collective.arrived >> lane & 1))
      continue;
    const Arrival &arrival = *static_cast<Arrival *>(collective.payload[lane]);
    if (!first)
      first = &arrival;
    const char *at = collective.at;
    if (arrival.number != first->number || arrival.threads != first->threads)
      fail(Fault::launchFailed, at,
           "%s: lanes of one warp expect barrier %u of %u threads and barrier %u of %u threads", collective.operation,
           arrival.number, arrival.threads, first->number, first->threads);
    if (arrival.number > 15)
      fail(Fault::launchFailed, at, "%s: expected a barrier of 0 to 15, got %u", collective.operation, arrival.number);
    if (arrival.threads % warpSize || arrival.threads > (block.count + warpSize - 1) / warpSize * warpSize)
      fail(Fault::launchFailed, at, "%s %u: expected whole warps of the block's %u threads, got %u",
           collective.operation, arrival.number, block.count, arrival.threads);
    Barrier &barrier = block.barriers[arrival.number];
    if (!barrier.arrived.empty() && barrier.expected != arrival.threads)
      fail(Fault::launchFailed, at, "%s %u: this warp expects %u threads, another one %u, at %s", collective.operation,
           arrival.number, arrival.threads ? arrival.threads : block.live,
           barrier.expected ? barrier.expected : block.live, barrier.at);
    barrier.expected = arrival.threads;
    barrier.at = at;
    barrier.trueCount += arrival.predicate != 0;
    Thread *thread = block.current->warp->threads[lane];
    thread->atBarrier = arrival.waits;
    barrier.arrived.push_back(thread);
  }
  finishBarrier(first->number);
}

/// `threads` 0: all of the block. Reductions as in NVVM::BarrierReduction, popc, and, or.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_barrier(const char *at, uint32_t number, uint32_t threads,
                                                      uint32_t reduction, uint32_t predicate) {
  Thread &self = *block.current;
  Arrival arrival{number, threads, predicate, /*waits=*/true};
  together(at, "bar.sync", self.warp->lanes, Lanes::together, &arrival, executeArrival);
  Wait wait;
  wait.operation = "bar.sync";
  wait.at = at;
  wait.object = Wait::barrier;
  wait.number = number;
  while (self.atBarrier)
    waitFor(wait);
  return reduction == 0   ? self.barrierTrue
         : reduction == 1 ? self.barrierTrue == self.barrierThreads
                          : self.barrierTrue != 0;
}

ATTN_EMULATOR_FUNCTION void attn_emulator_barrier_arrive(const char *at, uint32_t number, uint32_t threads) {
  Arrival arrival{number, threads, 0, /*waits=*/false};
  together(at, "bar.arrive", block.current->warp->lanes, Lanes::together, &arrival, executeArrival);
}
