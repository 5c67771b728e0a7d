//===- Interrupts.cpp - Ctrl-C ends a run, not the program -----------------------------------------------===//

#include "Interrupts.h"

#include <csignal>

// What the signal handler needs.
static volatile std::sig_atomic_t received = 0;
static attn_runtime *runtimeToCancel = nullptr;

static void onInterrupt(int signal) {
  received = signal;
  if (runtimeToCancel)
    attn_runtime_cancel(runtimeToCancel);
}

// SA_RESETHAND: a second Ctrl-C ends the program at once.
Interrupts::Interrupts(attn_runtime *runtime) {
  runtimeToCancel = runtime;
  struct sigaction action = {};
  action.sa_handler = onInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Interrupts::~Interrupts() { runtimeToCancel = nullptr; }

int Interrupts::signal() { return received; }
