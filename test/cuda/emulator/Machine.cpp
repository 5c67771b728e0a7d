//===- Machine.cpp - Runs a launch block by block -----------------------------------------------===//
#include "test/cuda/emulator/Machine.h"
#include "test/cuda/emulator/Memory.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <signal.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace emulator {

Block block;
static uint64_t seed() {
  const char *text = getenv("ATTN_EMULATOR_SEED");
  return text ? strtoull(text, nullptr, 0) : 1;
}
std::mt19937_64 randomNumbers(seed());
static uint64_t below(uint64_t bound) { return randomNumbers() % bound; }

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

// Pointers of shared memory have 32 bits on a device, and matrix descriptors hold their low 18 bits. So the window
// begins at a multiple of 2^18 below 4 GiB.
static constexpr uint64_t windowBytes = 1 << 18;
static char *window;

static bool mapWindow() {
  for (uint64_t place = 0x10000000; !window && place < 0x7fff0000; place += 0x1000000) {
    void *hint = reinterpret_cast<void *>(place);
    void *mapped = mmap(hint, windowBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == hint)
      window = static_cast<char *>(mapped);
    else if (mapped != MAP_FAILED)
      munmap(mapped, windowBytes);
  }
  return window;
}

/// Lays a block's memory so that it ends, but for the alignment of 1024 bytes, where a page begins that faults.
static bool placeShared(uint64_t bytes) {
  if (!window && !mapWindow())
    return false;
  const uint64_t page = sysconf(_SC_PAGESIZE), rounded = (bytes + page - 1) / page * page;
  if (rounded > windowBytes || mprotect(window, windowBytes, PROT_NONE) ||
      mprotect(window, rounded, PROT_READ | PROT_WRITE))
    return false;
  block.shared = window + (rounded - bytes) / 1024 * 1024;
  block.sharedBytes = bytes;
  return true;
}

bool isShared(const void *address, uint64_t bytes) {
  const char *byte = static_cast<const char *>(address);
  return byte >= block.shared && bytes <= block.sharedBytes &&
         uint64_t(byte - block.shared) <= block.sharedBytes - bytes;
}

/// As a kernel sees it: from the beginning of the block's memory.
static long long sharedOffset(const void *address) { return static_cast<const char *>(address) - block.shared; }

void checkShared(const char *at, const char *operation, const void *address, uint64_t bytes, uint64_t alignment) {
  if (!isShared(address, bytes))
    fail(Fault::illegalAddress, at, "%s: %llu bytes at %lld are not in the %llu bytes of shared memory", operation,
         (unsigned long long)bytes, sharedOffset(address), (unsigned long long)block.sharedBytes);
  if (reinterpret_cast<uintptr_t>(address) % alignment)
    fail(Fault::misalignedAddress, at, "%s: shared address %lld is not aligned to %llu bytes", operation,
         sharedOffset(address), (unsigned long long)alignment);
}

void checkGlobal(const char *at, const char *operation, const void *address, uint64_t bytes, uint64_t alignment) {
  if (!findAllocation(address, bytes).begin)
    fail(Fault::illegalAddress, at, "%s: %llu bytes of global memory at %p: %s", operation, (unsigned long long)bytes,
         address, describeAddress(address).c_str());
  if (reinterpret_cast<uintptr_t>(address) % alignment)
    fail(Fault::misalignedAddress, at, "%s: global address %p is not aligned to %llu bytes", operation, address,
         (unsigned long long)alignment);
}

//===----------------------------------------------------------------------===//
// Reports
//===----------------------------------------------------------------------===//

static void printHead() {
  fprintf(stderr, "attn-emulator: kernel '%s', block (%u, %u, %u)", block.launch->kernel->name, block.index[0],
          block.index[1], block.index[2]);
}

void fail(Fault fault, const char *at, const char *format, ...) {
  Thread &thread = *block.current;
  printHead();
  if (thread.warp)
    fprintf(stderr, ", thread (%u, %u, %u), warp %u, lane %u", thread.index[0], thread.index[1], thread.index[2],
            thread.warp->number, thread.lane);
  fprintf(stderr, at ? ", at %s: " : ": ", at);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, " (ATTN_EMULATOR_SEED=%llu)\n", (unsigned long long)seed());
  block.fault = fault;
  thread.fiber.suspend(); // never resumed
  abort();
}

void failBlock(Fault fault, const char *format, ...) {
  printHead();
  fprintf(stderr, ": ");
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, " (ATTN_EMULATOR_SEED=%llu)\n", (unsigned long long)seed());
  block.fault = fault;
}

/// What lies between the end of shared memory and the page that faults holds a pattern.
static constexpr unsigned char behindPattern = 0xa5;
static char *behindEnd() {
  const uint64_t page = sysconf(_SC_PAGESIZE);
  return window + (block.shared + block.sharedBytes - window + page - 1) / page * page;
}
static void checkBehindShared() {
  for (const char *byte = block.shared + block.sharedBytes; byte < behindEnd(); ++byte)
    if (static_cast<unsigned char>(*byte) != behindPattern) {
      failBlock(Fault::illegalAddress, "wrote to shared address %lld: the block has %llu bytes", sharedOffset(byte),
                (unsigned long long)block.sharedBytes);
      return;
    }
}

/// "0-31, 64": numbers of threads.
static std::string ranges(const std::vector<uint32_t> &numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1)
      ++j;
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]) + (j > i ? "-" + std::to_string(numbers[j]) : "");
    i = j + 1;
  }
  return text;
}

static std::string describeWait(const Thread &thread) {
  const Wait &wait = thread.wait;
  std::string text = wait.operation;
  char number[64];
  switch (wait.object) {
  case Wait::lanes: {
    uint32_t missing = uint32_t(wait.number);
    for (const Collective &collective : thread.warp->collectives)
      if (collective.mask == wait.number)
        missing &= ~collective.arrived;
    snprintf(number, sizeof number, " of mask 0x%08llx for lanes 0x%08x", (unsigned long long)wait.number, missing);
    text += number;
    break;
  }
  case Wait::barrier: {
    const Barrier &barrier = block.barriers[wait.number];
    text += " " + std::to_string(wait.number) + ", where " + std::to_string(barrier.arrived.size()) + " of " +
            std::to_string(barrier.expected ? barrier.expected : block.live) + " threads have arrived";
    break;
  }
  case Wait::mbarrier:
    text += " of parity " + std::to_string(wait.parity) + " of the mbarrier at shared address " +
            std::to_string((long long)(wait.number - reinterpret_cast<uintptr_t>(block.shared)));
    if (auto found = block.mbarriers.find(reinterpret_cast<char *>(wait.number)); found != block.mbarriers.end())
      text += ", which lacks " + std::to_string(found->second.pending) + " arrivals and " +
              std::to_string(found->second.transactions) + " bytes";
    break;
  }
  return text + ", at " + wait.at;
}

static void reportDeadlock() {
  failBlock(Fault::timeout, "deadlock: no thread can go on");
  std::map<std::string, std::vector<uint32_t>> waits;
  for (uint32_t i = 0; i < block.count; ++i) {
    Thread &thread = *block.threads[i];
    waits[thread.exited ? "have exited" : "wait in " + describeWait(thread)].push_back(i);
  }
  for (auto &[text, numbers] : waits)
    fprintf(stderr, "  threads %s %s\n", ranges(numbers).c_str(), text.c_str());
}

//===----------------------------------------------------------------------===//
// Faults of the code itself
//===----------------------------------------------------------------------===//

static struct sigaction previousActions[NSIG];
static constexpr int faultSignals[] = {SIGSEGV, SIGBUS, SIGFPE};

static void onSignal(int signal, siginfo_t *info, void *) {
  if (!block.current) { // not ours
    sigaction(signal, &previousActions[signal], nullptr);
    return;
  }
  const char *address = static_cast<const char *>(info->si_addr);
  if (signal == SIGFPE)
    fail(Fault::launchFailed, nullptr, "integer division by zero, whose result is not defined");
  if (block.current->fiber.overflowedAt(address))
    fail(Fault::launchFailed, nullptr, "the thread's stack is too small");
  if (address >= window && address < window + windowBytes)
    fail(Fault::illegalAddress, nullptr, "access to shared address %lld: the block has %llu bytes",
         sharedOffset(address), (unsigned long long)block.sharedBytes);
  fail(Fault::illegalAddress, nullptr, "access to address %p, %s", static_cast<const void *>(address),
       describeAddress(address).c_str());
}

namespace {
/// Catches faults while a kernel runs, on a stack of its own.
struct CatchFaults {
  CatchFaults() {
    static char memory[64 << 10];
    stack_t stack = {};
    stack.ss_sp = memory;
    stack.ss_size = sizeof memory;
    sigaltstack(&stack, &previousStack);
    struct sigaction action = {};
    action.sa_sigaction = onSignal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int signal : faultSignals)
      sigaction(signal, &action, &previousActions[signal]);
  }
  ~CatchFaults() {
    for (int signal : faultSignals)
      sigaction(signal, &previousActions[signal], nullptr);
    sigaltstack(&previousStack, nullptr);
  }
  stack_t previousStack;
};
} // namespace

//===----------------------------------------------------------------------===//
// Waiting
//===----------------------------------------------------------------------===//

void waitFor(const Wait &wait) {
  Thread &thread = *block.current;
  thread.wait = wait;
  thread.warp->ready &= ~(1u << thread.lane);
  thread.fiber.suspend();
}

void makeReady(Thread &thread) { thread.warp->ready |= 1u << thread.lane; }

/// Executes a collective if every lane has come or, where that is allowed, gone.
static bool finish(Warp &warp, size_t number) {
  const Collective &waiting = warp.collectives[number];
  if (waiting.arrived != (waiting.lanes == Lanes::aligned ? waiting.mask : waiting.mask & warp.lanes & ~warp.exited))
    return false;
  Collective collective = waiting;
  warp.collectives.erase(warp.collectives.begin() + number);
  collective.execute(collective);
  warp.ready |= collective.arrived;
  return true;
}

void together(const char *at, const char *operation, uint32_t mask, Lanes lanes, void *payload,
              void (*execute)(Collective &)) {
  Thread &thread = *block.current;
  Warp &warp = *thread.warp;
  const uint32_t self = 1u << thread.lane;
  if (!(mask & self))
    fail(Fault::launchFailed, at, "%s: lane %u is not in mask 0x%08x", operation, thread.lane, mask);
  size_t number = 0;
  while (number < warp.collectives.size() && warp.collectives[number].mask != mask)
    ++number;
  if (number == warp.collectives.size())
    warp.collectives.push_back({operation, at, lanes, execute, mask, 0, {}});
  Collective &collective = warp.collectives[number];
  if (strcmp(collective.operation, operation) || (lanes != Lanes::diverged && collective.at != at))
    fail(Fault::launchFailed, at, "%s: lanes 0x%08x of the warp wait in %s, at %s", operation, collective.arrived,
         collective.operation, collective.at);
  collective.arrived |= self;
  collective.payload[thread.lane] = payload;
  if (finish(warp, number))
    return;
  Wait wait;
  wait.operation = operation;
  wait.at = at;
  wait.number = mask;
  waitFor(wait);
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

/// What a thread executes.
static void runThread() {
  block.launch->kernel->run(block.launch->parameters);
  Thread &thread = *block.current;
  for (auto &group : thread.stores)
    if (!group.empty())
      fail(Fault::launchFailed, nullptr, "exits before its bulk copies have read shared memory");
  Warp &warp = *thread.warp;
  thread.exited = true;
  warp.ready &= ~(1u << thread.lane);
  warp.exited |= 1u << thread.lane;
  --block.live;
  for (size_t i = warp.collectives.size(); i-- > 0;)
    if (warp.collectives[i].arrived)
      finish(warp, i);
  finishBarriers();
  thread.fiber.suspend(/*last=*/true);
}

static void startBlock(const Launch &launch) {
  const uint32_t count = launch.block[0] * launch.block[1] * launch.block[2];
  block.launch = &launch;
  block.count = block.live = count;
  while (block.threads.size() < count)
    block.threads.push_back(std::make_unique<Thread>());
  block.warps.clear();
  block.warps.resize((count + warpSize - 1) / warpSize);
  for (uint32_t i = 0; i < count; ++i) {
    Warp &warp = block.warps[i / warpSize];
    Thread &thread = *block.threads[i];
    thread.warp = &warp;
    thread.number = i;
    thread.lane = i % warpSize;
    thread.index[0] = i % launch.block[0];
    thread.index[1] = i / launch.block[0] % launch.block[1];
    thread.index[2] = i / launch.block[0] / launch.block[1];
    thread.exited = thread.atBarrier = false;
    thread.copies.assign(1, {});
    thread.stores.assign(1, {});
    thread.products.assign(1, {});
    thread.accumulators.clear();
    thread.productCount = 0;
    thread.needsFence = true;
    thread.fiber.start(runThread);
    warp.number = i / warpSize;
    warp.threads[thread.lane] = &thread;
    warp.lanes |= 1u << thread.lane;
  }
  for (Warp &warp : block.warps)
    warp.ready = warp.lanes;
  for (Barrier &barrier : block.barriers)
    barrier = {};
  block.mbarriers.clear();
  block.asynchronous.clear();
  memset(block.shared, poison, block.sharedBytes);
  memset(block.shared + block.sharedBytes, behindPattern, behindEnd() - block.shared - block.sharedBytes);
}

/// One turn of a warp: every ready lane runs until it waits, beginning with a random one.
static void runWarp(Warp &warp) {
  const uint32_t first = below(warpSize);
  for (uint32_t i = 0; i < warpSize && block.fault == Fault::none; ++i) {
    const uint32_t lane = (first + i) % warpSize;
    if (!(warp.ready >> lane & 1))
      continue;
    block.current = warp.threads[lane];
    block.current->fiber.resume();
    block.current = nullptr;
  }
}

static std::function<void()> work;
/// One piece of asynchronous work, on a fiber because it may fail.
static void runAsynchronous() {
  static Thread engine;
  const size_t number = below(block.asynchronous.size());
  work = std::move(block.asynchronous[number]);
  block.asynchronous.erase(block.asynchronous.begin() + number);
  block.current = &engine;
  engine.fiber.start([] {
    work();
    block.current->fiber.suspend(/*last=*/true);
  });
  engine.fiber.resume();
  block.current = nullptr;
}

static void runBlock() {
  std::vector<Warp *> ready;
  while (block.live && block.fault == Fault::none) {
    ready.clear();
    for (Warp &warp : block.warps)
      if (warp.ready)
        ready.push_back(&warp);
    if (!block.asynchronous.empty() && (ready.empty() || below(4) == 0))
      runAsynchronous();
    else if (!ready.empty())
      runWarp(*ready[below(ready.size())]);
    else {
      reportDeadlock();
      break;
    }
  }
  while (block.fault == Fault::none && !block.asynchronous.empty())
    runAsynchronous();
  for (auto check : {checkBehindShared, checkMbarriers, checkProducts})
    if (block.fault == Fault::none)
      check();
}

Fault run(const Launch &launch) {
  CatchFaults faults;
  block.fault = Fault::none;
  if (!placeShared(launch.kernel->sharedBytes + launch.dynamicShared)) {
    fprintf(stderr, "attn-emulator: no memory below 4 GiB for shared memory\n");
    return Fault::launchFailed;
  }
  std::vector<uint64_t> order(uint64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2]);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), randomNumbers);
  for (uint64_t number : order) {
    block.index[0] = number % launch.grid[0];
    block.index[1] = number / launch.grid[0] % launch.grid[1];
    block.index[2] = number / launch.grid[0] / launch.grid[1];
    startBlock(launch);
    runBlock();
    if (block.fault != Fault::none)
      return block.fault;
  }
  const std::string changed = checkAround();
  if (!changed.empty()) {
    fprintf(stderr, "attn-emulator: kernel '%s' wrote out of bounds: %s (ATTN_EMULATOR_SEED=%llu)\n",
            launch.kernel->name, changed.c_str(), (unsigned long long)seed());
    return Fault::illegalAddress;
  }
  return Fault::none;
}

} // namespace emulator
