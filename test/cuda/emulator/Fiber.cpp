//===- Fiber.cpp - Stacks to switch between -----------------------------------------------------===//
#include "test/cuda/emulator/Fiber.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define ATTN_ASAN 1
#endif
#endif

namespace emulator {

static constexpr size_t stackBytes = 256 << 10;
static size_t guardBytes() { return size_t(sysconf(_SC_PAGESIZE)); }
static Fiber *starting; ///< the fiber that enter() finds itself on

#if defined(__x86_64__)
/// Pushes the registers that a call keeps, stores the stack pointer in *from, and continues where `to` stopped.
extern "C" void attn_emulator_switch(void **from, void *to);
asm(R"(
  .text
  .type attn_emulator_switch, @function
  .hidden attn_emulator_switch
attn_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  retq
  .size attn_emulator_switch, .-attn_emulator_switch
)");
#endif

Fiber::~Fiber() {
  if (memory)
    munmap(memory, guardBytes() + stackBytes);
}

void Fiber::start(void (*newFunction)()) {
  function = newFunction;
#if ATTN_ASAN // an abandoned stack is full of poisoned frames; only unmapping it cleans them
  if (memory && running) {
    munmap(memory, guardBytes() + stackBytes);
    memory = nullptr;
  }
  fakeStack = nullptr;
#endif
  if (!memory) {
    void *mapped = mmap(nullptr, guardBytes() + stackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED || mprotect(mapped, guardBytes(), PROT_NONE)) {
      fprintf(stderr, "attn-emulator: no memory for the stack of a thread\n");
      abort();
    }
    memory = static_cast<char *>(mapped);
  }
#if defined(__x86_64__)
  // As if `enter` had been called and had pushed six registers: at its first instruction rsp is 8 above a multiple
  // of 16.
  auto *top = reinterpret_cast<void **>(memory + guardBytes() + stackBytes);
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(&Fiber::enter);
  for (int i = 0; i < 6; ++i)
    *--top = nullptr;
  stackPointer = top;
#else
  getcontext(&context);
  context.uc_stack.ss_sp = memory + guardBytes();
  context.uc_stack.ss_size = stackBytes;
  context.uc_link = nullptr;
  makecontext(&context, &Fiber::enter, 0);
#endif
}

void Fiber::enter() {
  Fiber *fiber = starting;
  fiber->running = true;
#if ATTN_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &fiber->callerStack, &fiber->callerStackBytes);
#endif
  fiber->function();
  abort(); // function() suspends for good
}

void Fiber::resume() {
  starting = this;
#if ATTN_ASAN
  __sanitizer_start_switch_fiber(&callerFakeStack, memory + guardBytes(), stackBytes);
#endif
#if defined(__x86_64__)
  attn_emulator_switch(&callerStackPointer, stackPointer);
#else
  swapcontext(&caller, &context);
#endif
#if ATTN_ASAN
  __sanitizer_finish_switch_fiber(callerFakeStack, nullptr, nullptr);
#endif
}

void Fiber::suspend(bool last) {
  running = !last;
#if ATTN_ASAN
  __sanitizer_start_switch_fiber(last ? nullptr : &fakeStack, callerStack, callerStackBytes);
#endif
#if defined(__x86_64__)
  attn_emulator_switch(&stackPointer, callerStackPointer);
#else
  swapcontext(&context, &caller);
#endif
#if ATTN_ASAN
  __sanitizer_finish_switch_fiber(fakeStack, &callerStack, &callerStackBytes);
#endif
}

bool Fiber::overflowedAt(const void *address) const {
  return memory && address >= memory && address < memory + guardBytes();
}

} // namespace emulator
