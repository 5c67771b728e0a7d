//===- Interrupts.h - Ctrl-C ends a run, not the program -------------------------------------------------===//
#ifndef ATTN_TOOLS_INTERRUPTS_H
#define ATTN_TOOLS_INTERRUPTS_H

#include "runtime/attn_runtime.h"

/// While it lives, Ctrl-C and SIGTERM cancel the runs of `runtime` instead of ending the program;
/// a second one ends it. One at a time, and the runtime must outlive it.
class Interrupts {
public:
  explicit Interrupts(attn_runtime *runtime);
  ~Interrupts();
  Interrupts(const Interrupts &) = delete;

  /// The signal that came, or 0.
  static int signal();
};

#endif // ATTN_TOOLS_INTERRUPTS_H
