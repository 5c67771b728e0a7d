//===- Fiber.h - Stacks to switch between -------------------------------------------------------===//
#ifndef ATTN_TEST_CUDA_FIBER_H
#define ATTN_TEST_CUDA_FIBER_H

#include <cstddef>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

/// A stack of its own and the place where its code stopped. Kernels switch at every shuffle of every lane; swapcontext
/// makes two system calls each time, so x86-64 has a switch of its own (a tenth of the time of a whole test), and other
/// processors use swapcontext.
class Fiber {
public:
  Fiber() = default;
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;
  ~Fiber();

  /// The next resume() begins `function` at the top of the stack, whatever ran there before.
  void start(void (*function)());
  /// Runs the fiber until it suspends itself.
  void resume();
  /// Back to whoever resumed this fiber; with `last`, `function` has ended.
  void suspend(bool last = false);
  /// Whether `address` lies in the page below the stack, which faults.
  bool overflowedAt(const void *address) const;

private:
  static void enter();
  void (*function)() = nullptr;
  bool running = false;   ///< stopped in the middle of `function`
  char *memory = nullptr; ///< a page that faults, then the stack
#if defined(__x86_64__)
  void *stackPointer = nullptr, *callerStackPointer = nullptr;
#else
  ucontext_t context, caller;
#endif
  // What AddressSanitizer wants to know of both sides.
  [[maybe_unused]] void *fakeStack = nullptr, *callerFakeStack = nullptr;
  [[maybe_unused]] const void *callerStack = nullptr;
  [[maybe_unused]] size_t callerStackBytes = 0;
};

} // namespace emulator

#endif // ATTN_TEST_CUDA_FIBER_H
