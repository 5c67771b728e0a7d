//===- Arguments.cpp - The command line of the tools written in C++ --------------------------------------===//

#include "Arguments.h"

#include "text/Json.h"

#include <algorithm>
#include <charconv>

namespace attn::text {

Option textOption(const char *name, const char *what, std::string &value) {
  return {name, [&value, what](const std::string &text) -> Status {
            if (text.empty())
              return Error{std::string("expected ") + what + ", got nothing"};
            value = text;
            return {};
          }};
}

Option countOption(const char *name, std::optional<int64_t> &value, int64_t min, int64_t max) {
  return {name, [&value, min, max](const std::string &text) -> Status {
            int64_t number = 0;
            auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (error != std::errc() || end != text.data() + text.size() || number < min || number > max)
              return Error{"expected a number of " + std::to_string(min) + " to " + std::to_string(max) + ", got " +
                           inQuotes(text)};
            value = number;
            return {};
          }};
}

Expected<std::vector<std::string>> parseOptions(int argc, char **argv, const std::vector<Switch> &switches,
                                                const std::vector<Option> &options) {
  std::vector<std::string> others;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument.empty() || argument[0] != '-') {
      others.push_back(argument);
      continue;
    }
    auto named = [&](const auto &row) { return argument == row.name; };
    if (auto row = std::find_if(switches.begin(), switches.end(), named); row != switches.end()) {
      *row->value = true;
      continue;
    }
    std::optional<std::string> value;
    if (size_t equals = argument.find('='); argument.rfind("--", 0) == 0 && equals != std::string::npos) {
      value = argument.substr(equals + 1);
      argument.resize(equals);
    }
    auto option = std::find_if(options.begin(), options.end(), named);
    if (option == options.end())
      return Error{"unknown option " + inQuotes(argv[i]) + " (see --help)"};
    if (!value && i + 1 == argc)
      return Error{argument + ": expected a value"};
    if (Status status = option->read(value ? *value : argv[++i]); !status)
      return Error{argument + ": " + status.error().text};
  }
  return others;
}

} // namespace attn::text
