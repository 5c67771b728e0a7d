//===- Arguments.h - The command line of the tools written in C++ ----------------------------------------===//
#ifndef ATTN_TOOLS_ARGUMENTS_H
#define ATTN_TOOLS_ARGUMENTS_H

#include "text/Expected.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace attn::text {

/// An option with a value; `--name value` and `--name=value` are the same. What `read` says is put after "--name: ".
struct Option {
  const char *name;
  std::function<Status(const std::string &value)> read;
};

/// Errors: "expected WHAT, got nothing" for an empty text.
Option textOption(const char *name, const char *what, std::string &value);
/// Errors: "expected a number of MIN to MAX, got 'x'".
Option countOption(const char *name, std::optional<int64_t> &value, int64_t min, int64_t max);

/// An option without a value.
struct Switch {
  const char *name;
  bool *value;
};

/// Reads the options and returns the other arguments. Errors: "unknown option 'x' (see --help)", "--name: expected a
/// value", and those of the options.
Expected<std::vector<std::string>> parseOptions(int argc, char **argv, const std::vector<Switch> &switches,
                                                const std::vector<Option> &options);

} // namespace attn::text

#endif // ATTN_TOOLS_ARGUMENTS_H
