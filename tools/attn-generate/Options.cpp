//===- Options.cpp - What attn-generate was asked for ------------------------------------------------------===//

#include "Options.h"

#include "runtime/attn_runtime.h"
#include "text/Json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

using namespace attn::text;

const char helpText[] = R"(attn-generate: continue prompts with a compiled model, or summarise them

usage: attn-generate MODEL.so (--prompt TEXT | --prompt-file FILE)... [options]

  --tokenizer DIR     the model directory: tokenizer.json, config.json, generation_config.json (default: what
                      attnc --tokenizer put into MODEL.so, or else its directory)
  --prompt TEXT       the prompt; may be repeated
  --prompt-file FILE  a prompt from a file ('-': standard input), without its last line end; may be repeated
  --prompt-ids IDS    a prompt as token ids, separated by spaces or commas; may be repeated
  --truncate          cut the end of a prompt that leaves no room for the new tokens, instead of refusing it
  --no-template       give the prompt as it is, without the template or prefix in config.json
  --replace-invalid   read invalid UTF-8 as U+FFFD instead of refusing it

How tokens are chosen; what is not given is taken from the model directory, as transformers' generate does:
  -n N                at most N new tokens (default of the defaults: 128)
  --min-new-tokens N  no end of text before N new tokens
  --stop TEXT         end after this text has been written; may be repeated
  --greedy            always the likeliest token
  --beams N           beam search: follow N sequences and write the best
  --length-penalty X  scores of beams are divided by their length to the power of X (default 1)
  --early-stopping W  beams end: true, when there are N texts; never, when no better text can come; false, when
                      none is likely (default)
  --sample            draw tokens at random; also implied by the next five
  --temperature X     divide logits by X > 0 (default 1)
  --top-k K           from the K likeliest (default 50; 0: all)
  --top-p P           from the smallest set with a probability of P (default 1)
  --min-p P           from those at least P times as likely as the likeliest (default 0)
  --seed N            the random numbers: the same N gives the same text (default 0; prompt number i has N + i)
  --repetition-penalty X      make tokens that are already there less likely (X > 1)
  --no-repeat-ngram-size N    never write the same N tokens twice

  --lookup            guess what follows from the prompt and check several tokens at once: the same text, sooner
                      where it repeats the prompt; while one sequence is written, without beams
  --batch N           at most N sequences in one step (default 16)
  --threads N         threads to use (default: all CPUs of this process)
  --variant V         use the code for this instruction set (attn-run MODEL.so --describe lists them)
  --no-cache          run whole sequences for every token, with the entry 'forward'
  --ids               print token ids instead of text
  --json              print one line per result: {"prompt": 0, "text": …, "ids": […], "end": "eos" | "length" |
                      "context" | "stop", "score": …}; the score is that of beams
  -v                  print tokens, times and why each text ended to standard error
  --help              this text

Standard output gets the new text of each prompt, in their order and as it comes (of beams: when it is found), and
a line end after each; nothing else. Exit status: 0, 1 on an error, 130 after Ctrl-C.

Examples:
  attnc examples/summarizer --tokenizer examples/summarizer -o summarizer.so
  attn-generate summarizer.so --prompt "This package contains tools to …"
  attn-generate summarizer.so --prompt-file a.txt --prompt-file b.txt -n 20 -v
  attn-generate summarizer.so --prompt-file article.txt --beams 4 --json
  attn-generate summarizer.so --prompt-file - --top-p 0.9 --seed 7 < article.txt
)";

bool Options::needsTokenizer() const {
  if (!ids || !stopStrings.empty())
    return true;
  for (const Prompt &prompt : prompts)
    if (prompt.isText)
      return true;
  return false;
}

SearchOptions Options::searchOptions(const SearchOptions &own) const {
  SearchOptions result = own;
  LogitsOptions &logits = result.logits;
  auto set = [](auto &value, const auto &given) {
    if (given)
      value = *given;
  };
  bool drawing = sample || temperature || topK || topP || minP || seed;
  if (greedy || drawing)
    result.sample = drawing;
  if ((greedy || drawing) && !beams)
    result.beams = 1;
  if (beams && *beams > 1 && !drawing)
    result.sample = false;
  set(result.beams, beams);
  set(result.lengthPenalty, lengthPenalty);
  set(result.earlyStopping, earlyStopping);
  set(logits.temperature, temperature);
  set(logits.topK, topK);
  set(logits.topP, topP);
  set(logits.minP, minP);
  set(logits.repetitionPenalty, repetitionPenalty);
  set(logits.noRepeatNgramSize, noRepeatNgramSize);
  set(logits.minNewTokens, minNewTokens);
  if (seed)
    result.seed = static_cast<uint64_t>(*seed);
  return result;
}

/// Longest prompt read from a file; far more than any context holds.
static constexpr uint64_t maxPromptBytes = uint64_t(1) << 30;

static Expected<int64_t> readNumber(const std::string &flag, const std::string &text, int64_t min, int64_t max) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max)
    return Error{flag + ": expected a number of " + std::to_string(min) + " to " + std::to_string(max) + ", got " +
                 inQuotes(text)};
  return value;
}

/// What a real number has to be.
enum class Bound { Positive, Fraction, Finite };

static Expected<double> readReal(const std::string &flag, const std::string &text, Bound bound) {
  static const char *const wanted[] = {"a number above 0", "a number of 0 to 1", "a number"};
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool ok = error == std::errc() && end == text.data() + text.size() && std::isfinite(value) &&
            (bound != Bound::Positive || value > 0) && (bound != Bound::Fraction || (value >= 0 && value <= 1));
  if (!ok)
    return Error{flag + ": expected " + wanted[static_cast<int>(bound)] + ", got " + inQuotes(text)};
  return value;
}

static Expected<std::string> readPromptFile(const std::string &path) {
  Expected<std::string> text = readFile(path == "-" ? "/dev/stdin" : path, maxPromptBytes);
  if (!text)
    return text;
  if (!text->empty() && text->back() == '\n')
    text->pop_back();
  if (!text->empty() && text->back() == '\r')
    text->pop_back();
  return text;
}

static Expected<std::vector<TokenId>> readIds(const std::string &flag, const std::string &text) {
  std::vector<TokenId> ids;
  for (size_t at = 0; (at = text.find_first_not_of(" ,\n", at)) != std::string::npos;) {
    size_t end = std::min(text.find_first_of(" ,\n", at), text.size());
    Expected<int64_t> id = readNumber(flag, text.substr(at, end - at), 0, INT32_MAX);
    if (!id)
      return id.error();
    ids.push_back(*id);
    at = end;
  }
  return ids;
}

Expected<Options> parseArguments(int argc, char **argv) {
  Options options;
  const std::pair<const char *, bool *> switches[] = {{"--no-cache", &options.noCache},
                                                      {"--no-template", &options.noTemplate},
                                                      {"--replace-invalid", &options.replaceInvalid},
                                                      {"--truncate", &options.truncate},
                                                      {"--lookup", &options.lookup},
                                                      {"--sample", &options.sample},
                                                      {"--greedy", &options.greedy},
                                                      {"--ids", &options.ids},
                                                      {"--json", &options.json},
                                                      {"-v", &options.verbose},
                                                      {"--help", &options.help},
                                                      {"-h", &options.help}};
  struct Count {
    const char *name;
    std::optional<int64_t> *value;
    int64_t min, max;
  };
  std::optional<int64_t> threads, batch;
  const Count counts[] = {{"-n", &options.maxNewTokens, 1, INT32_MAX},
                          {"--min-new-tokens", &options.minNewTokens, 0, INT32_MAX},
                          {"--beams", &options.beams, 1, maxBeams},
                          {"--top-k", &options.topK, 0, INT32_MAX},
                          {"--seed", &options.seed, 0, INT64_MAX},
                          {"--no-repeat-ngram-size", &options.noRepeatNgramSize, 0, INT32_MAX},
                          {"--batch", &batch, 1, 4096},
                          {"--threads", &threads, 1, ATTN_MAX_WORKERS}};
  struct Real {
    const char *name;
    std::optional<double> *value;
    Bound bound;
  };
  const Real reals[] = {{"--temperature", &options.temperature, Bound::Positive},
                        {"--top-p", &options.topP, Bound::Fraction},
                        {"--min-p", &options.minP, Bound::Fraction},
                        {"--repetition-penalty", &options.repetitionPenalty, Bound::Positive},
                        {"--length-penalty", &options.lengthPenalty, Bound::Finite}};
  const std::pair<const char *, std::string *> texts[] = {{"--tokenizer", &options.tokenizer},
                                                          {"--variant", &options.variant}};

  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument.empty() || argument[0] != '-') {
      if (!options.model.empty())
        return Error{"expected one model file, got " + inQuotes(options.model) + " and " + inQuotes(argument)};
      options.model = argument;
      continue;
    }
    bool known = false;
    for (auto [name, flag] : switches)
      if (argument == name)
        known = *flag = true;
    if (known)
      continue;

    // `--flag=value` or `--flag value`.
    size_t equals = argument.rfind("--", 0) == 0 ? argument.find('=') : std::string::npos;
    std::string flag = argument.substr(0, equals);
    auto named = [&](const auto &row) { return flag == row.name; };
    auto count = std::find_if(std::begin(counts), std::end(counts), named);
    auto real = std::find_if(std::begin(reals), std::end(reals), named);
    auto text = std::find_if(std::begin(texts), std::end(texts), [&](auto row) { return flag == row.first; });
    bool special = flag == "--prompt" || flag == "--prompt-file" || flag == "--prompt-ids" || flag == "--stop" ||
                   flag == "--early-stopping";
    if (!special && count == std::end(counts) && real == std::end(reals) && text == std::end(texts))
      return Error{"unknown option " + inQuotes(argument) + " (see --help)"};
    if (equals == std::string::npos && i + 1 == argc)
      return Error{flag + ": expected a value"};
    std::string value = equals == std::string::npos ? argv[++i] : argument.substr(equals + 1);

    if (count != std::end(counts)) {
      Expected<int64_t> number = readNumber(flag, value, count->min, count->max);
      if (!number)
        return number.error();
      *count->value = *number;
    } else if (real != std::end(reals)) {
      Expected<double> number = readReal(flag, value, real->bound);
      if (!number)
        return number.error();
      *real->value = *number;
    } else if (text != std::end(texts)) {
      *text->second = value;
    } else if (flag == "--prompt") {
      options.prompts.push_back({value, "the prompt", {}});
    } else if (flag == "--prompt-file") {
      Expected<std::string> content = readPromptFile(value);
      if (!content)
        return content.error();
      options.prompts.push_back({*content, "'" + value + "'", {}});
    } else if (flag == "--prompt-ids") {
      Expected<std::vector<TokenId>> ids = readIds(flag, value);
      if (!ids)
        return ids.error();
      options.prompts.push_back({"", "the prompt", *ids, /*isText=*/false});
    } else if (flag == "--stop") {
      if (value.empty())
        return Error{"--stop: expected a text, got ''"};
      options.stopStrings.push_back(value);
    } else if (value == "true" || value == "false" || value == "never") {
      options.earlyStopping = value == "true"    ? EarlyStopping::True
                              : value == "never" ? EarlyStopping::Never
                                                 : EarlyStopping::False;
    } else {
      return Error{"--early-stopping: expected true, false or never, got " + inQuotes(value)};
    }
  }
  options.threads = threads.value_or(0);
  options.batch = batch.value_or(options.batch);
  if (options.help)
    return options;
  if (options.model.empty())
    return Error{"expected a model file (see --help)"};
  if (options.prompts.empty())
    return Error{"expected --prompt TEXT or --prompt-file FILE (see --help)"};
  bool drawing = options.sample || options.temperature || options.topK || options.topP || options.minP || options.seed;
  if (options.greedy && (drawing || options.beams.value_or(1) > 1))
    return Error{"--greedy does not go together with options for beams or random tokens"};
  if (drawing && options.beams.value_or(1) > 1)
    return Error{"--beams does not go together with options for random tokens"};
  if (options.lookup && (options.noCache || options.beams.value_or(1) > 1))
    return Error{"--lookup does not go together with --no-cache or --beams"};
  return options;
}
