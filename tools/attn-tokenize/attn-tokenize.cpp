//===- attn-tokenize.cpp - Text to token ids and back ----------------------------------------------------===//

#include "text/Json.h"
#include "text/Tokenizer.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iostream>

using namespace attn::text;

static const char help[] = R"(attn-tokenize: token ids of text, and text of token ids

usage: attn-tokenize --tokenizer DIR [--decode] [--json] [options]

Reads lines on standard input and writes one line for each: token ids separated by spaces.

  --tokenizer DIR     a directory with a tokenizer.json, spiece.model or tokenizer.model, or one of these files,
                      or a model that attnc --tokenizer compiled (*.so)
  --decode            the other way round: lines of ids in, text out (what is not UTF-8 becomes U+FFFD)
  --json              lines are JSON: a string and an array of ids; a text may then contain line ends
  --no-special        add no special tokens around a text; leave them out when decoding
  --replace-invalid   read invalid UTF-8 as U+FFFD instead of refusing it
  --help              this text

Examples:
  echo "This package contains tools" | attn-tokenize --tokenizer examples/summarizer
  echo "3620 898 926 749" | attn-tokenize --tokenizer examples/summarizer --decode
  echo '"two\nlines"' | attn-tokenize --tokenizer examples/summarizer --json

What a tokenizer.json may contain:
)";

struct Options {
  std::string tokenizer;
  bool decode = false, json = false, noSpecial = false, replaceInvalid = false, help = false;
};

static Expected<Options> parseArguments(int argc, char **argv) {
  Options options;
  const std::pair<const char *, bool *> switches[] = {{"--decode", &options.decode},
                                                      {"--json", &options.json},
                                                      {"--no-special", &options.noSpecial},
                                                      {"--replace-invalid", &options.replaceInvalid},
                                                      {"--help", &options.help},
                                                      {"-h", &options.help}};
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    bool known = false;
    for (auto [name, flag] : switches)
      if (argument == name)
        known = *flag = true;
    if (known)
      continue;
    if (argument == "--tokenizer" && i + 1 == argc)
      return Error{"--tokenizer: expected a value"};
    if (argument == "--tokenizer")
      options.tokenizer = argv[++i];
    else if (argument.rfind("--tokenizer=", 0) == 0)
      options.tokenizer = argument.substr(std::strlen("--tokenizer="));
    else
      return Error{"unknown argument " + inQuotes(argument) + " (see --help)"};
  }
  if (!options.help && options.tokenizer.empty())
    return Error{"expected --tokenizer DIR (see --help)"};
  return options;
}

/// Ids separated by spaces.
static Expected<std::vector<TokenId>> parseIds(std::string_view line) {
  std::vector<TokenId> ids;
  const char *at = line.data(), *end = at + line.size();
  while (true) {
    while (at != end && (*at == ' ' || *at == '\t' || *at == '\r'))
      ++at;
    if (at == end)
      return ids;
    TokenId id = 0;
    auto [next, error] = std::from_chars(at, end, id);
    bool separated = next == end || *next == ' ' || *next == '\t' || *next == '\r';
    if (error != std::errc() || !separated)
      return Error{"expected token ids separated by spaces, got " + inQuotes(std::string_view(at, end - at))};
    ids.push_back(id);
    at = next;
  }
}

static Expected<std::string> encodeLine(const Tokenizer &tokenizer, std::string line, const Options &options) {
  if (options.json) {
    Expected<nlohmann::json> value = parseJson(line, "json");
    if (!value)
      return value.error();
    Expected<std::string> text = JsonRef(*value, "json").string();
    if (!text)
      return text.error();
    line = *text;
  }
  Expected<std::vector<TokenId>> ids = tokenizer.encode(line, {!options.replaceInvalid, !options.noSpecial});
  if (!ids)
    return ids.error();
  std::string result;
  for (TokenId id : *ids)
    result += (result.empty() ? "" : options.json ? "," : " ") + std::to_string(id);
  return options.json ? "[" + result + "]" : result;
}

static Expected<std::string> decodeLine(const Tokenizer &tokenizer, const std::string &line, const Options &options) {
  std::vector<TokenId> ids;
  if (options.json) {
    Expected<nlohmann::json> value = parseJson(line, "json");
    if (!value)
      return value.error();
    JsonRef list(*value, "json");
    if (Status status = list.expectArray(); !status)
      return status.error();
    for (size_t i = 0; i < list->size(); ++i) {
      Expected<int64_t> id = list.at(i).id();
      if (!id)
        return id.error();
      ids.push_back(*id);
    }
  } else {
    Expected<std::vector<TokenId>> parsed = parseIds(line);
    if (!parsed)
      return parsed.error();
    ids = std::move(*parsed);
  }
  Expected<std::string> text = tokenizer.decode(ids, options.noSpecial);
  if (!text || !options.json)
    return text;
  return nlohmann::json(*text).dump();
}

static Status run(const Options &options) {
  Expected<Tokenizer> tokenizer = Tokenizer::load(options.tokenizer);
  if (!tokenizer)
    return tokenizer.error();
  size_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    Expected<std::string> result =
        options.decode ? decodeLine(*tokenizer, line, options) : encodeLine(*tokenizer, line, options);
    if (!result)
      return Error{"line " + std::to_string(number) + ": " + result.error().text};
    *result += '\n';
    if (std::fwrite(result->data(), 1, result->size(), stdout) != result->size())
      return Error{std::string("cannot write to standard output: ") + std::strerror(errno)};
  }
  if (std::fflush(stdout) != 0)
    return Error{std::string("cannot write to standard output: ") + std::strerror(errno)};
  return {};
}

int main(int argc, char **argv) {
  std::ios::sync_with_stdio(false);
  Expected<Options> options = parseArguments(argc, argv);
  Status status;
  if (!options)
    status = options.error();
  else if (options->help)
    std::printf("%s%s", help, describeSupportedParts("  ").c_str());
  else
    status = run(*options);
  if (!status) {
    std::fflush(stdout);
    std::fprintf(stderr, "attn-tokenize: error: %s\n", status.error().text.c_str());
    return 1;
  }
  return 0;
}
