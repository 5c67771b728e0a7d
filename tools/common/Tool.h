//===- Tool.h - main() of the tools written in C++ ---------------------------------------------------------===//
#ifndef ATTN_TOOLS_TOOL_H
#define ATTN_TOOLS_TOOL_H

#include "Interrupts.h"
#include "text/Expected.h"

#include <cstdio>

namespace attn::text {

/// Runs a tool with its options, or prints its help where they ask for it. Returns main()'s status: 1 after an error, which goes
/// to stderr, 128 + the signal after Ctrl-C, else 0.
template <typename Options, typename Run>
int runTool(const char *name, const char *help, Expected<Options> options, Run run) {
  Status status;
  if (!options)
    status = options.error();
  else if (options->help)
    std::fputs(help, stdout);
  else
    status = run(*options);
  if (!status) {
    std::fprintf(stderr, "%s: error: %s\n", name, status.error().text.c_str());
    return 1;
  }
  return Interrupts::signal() ? 128 + Interrupts::signal() : 0;
}

} // namespace attn::text

#endif // ATTN_TOOLS_TOOL_H
