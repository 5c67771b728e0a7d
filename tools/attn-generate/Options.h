//===- Options.h - What attn-generate was asked for --------------------------------------------------------===//
#ifndef ATTN_GENERATE_OPTIONS_H
#define ATTN_GENERATE_OPTIONS_H

#include "text/ModelDirectory.h"

/// A prompt as text or ids and where it came from, for messages.
struct Prompt {
  std::string text, source;
  std::vector<attn::text::TokenId> ids;
  bool isText = true;
};

struct Options {
  std::string model, tokenizer, variant;
  std::vector<Prompt> prompts;
  std::vector<std::string> stopStrings;
  std::optional<int64_t> maxNewTokens;
  int64_t threads = 0; ///< 0: not given
  int64_t batch = 16;
  bool noCache = false, noTemplate = false, replaceInvalid = false, truncate = false, lookup = false;
  bool ids = false, json = false, verbose = false, help = false;

  // Where given, these take the place of the model's own.
  bool sample = false, greedy = false;
  std::optional<int64_t> topK, noRepeatNgramSize, minNewTokens, beams, seed;
  std::optional<double> temperature, topP, minP, repetitionPenalty, lengthPenalty;
  std::optional<attn::text::EarlyStopping> earlyStopping;

  /// Whether anything goes in or out as text.
  bool needsTokenizer() const;
  /// The model's settings with those of the command line.
  attn::text::SearchOptions searchOptions(const attn::text::SearchOptions &own) const;
};

extern const char helpText[];

/// Errors are about one option, "--top-p: expected …", or about what is missing.
attn::text::Expected<Options> parseArguments(int argc, char **argv);

#endif // ATTN_GENERATE_OPTIONS_H
