//===- Options.cpp - What attn-generate was asked for ------------------------------------------------------===//

#include "Options.h"

#include "runtime/attn_runtime.h"
#include "text/Json.h"
#include "tools/common/Arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

using namespace attn::text;

const char helpText[] = R"(attn-generate: continue prompts with a compiled model, or summarise them

usage: attn-generate MODEL.so (--prompt TEXT | --prompt-file FILE)... [options]

  --tokenizer DIR     the model directory: tokenizer.json, config.json, generation_config.json; or a model file (*.so)
                      that has them inside (default: what attnc --tokenizer put into MODEL.so, or else its directory)
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

/// What a real number has to be.
enum class Bound { Positive, Fraction, Finite };

static Option realOption(const char *name, std::optional<double> &value, Bound bound) {
  return {name, [&value, bound](const std::string &text) -> Status {
            static const char *const wanted[] = {"a number above 0", "a number of 0 to 1", "a number"};
            double number = 0;
            auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            bool ok = error == std::errc() && end == text.data() + text.size() && std::isfinite(number) &&
                      (bound != Bound::Positive || number > 0) &&
                      (bound != Bound::Fraction || (number >= 0 && number <= 1));
            if (!ok)
              return Error{std::string("expected ") + wanted[static_cast<int>(bound)] + ", got " + inQuotes(text)};
            value = number;
            return {};
          }};
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

static Status readIds(const std::string &text, std::vector<TokenId> &ids) {
  std::optional<int64_t> id;
  Option option = countOption("", id, 0, INT32_MAX);
  for (size_t at = 0; (at = text.find_first_not_of(" ,\n", at)) != std::string::npos;) {
    size_t end = std::min(text.find_first_of(" ,\n", at), text.size());
    if (Status status = option.read(text.substr(at, end - at)); !status)
      return status;
    ids.push_back(*id);
    at = end;
  }
  return {};
}

/// The options that may be repeated, and the one with names.
static std::vector<Option> otherOptions(Options &options) {
  return {{"--prompt", [&](const std::string &value) {
             options.prompts.push_back({value, "the prompt", {}});
             return Status();
           }},
          {"--prompt-file", [&](const std::string &value) -> Status {
             Expected<std::string> content = readPromptFile(value);
             if (!content)
               return content.error();
             options.prompts.push_back({*content, "'" + value + "'", {}});
             return {};
           }},
          {"--prompt-ids", [&](const std::string &value) {
             options.prompts.push_back({"", "the prompt", {}, /*isText=*/false});
             return readIds(value, options.prompts.back().ids);
           }},
          {"--stop", [&](const std::string &value) -> Status {
             if (value.empty())
               return Error{"expected a text, got ''"};
             options.stopStrings.push_back(value);
             return {};
           }},
          {"--early-stopping", [&](const std::string &value) -> Status {
             if (value != "true" && value != "false" && value != "never")
               return Error{"expected true, false or never, got " + inQuotes(value)};
             options.earlyStopping = value == "true"    ? EarlyStopping::True
                                     : value == "never" ? EarlyStopping::Never
                                                        : EarlyStopping::False;
             return {};
           }}};
}

Expected<Options> parseArguments(int argc, char **argv) {
  Options options;
  const std::vector<Switch> switches = {{"--no-cache", &options.noCache},
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
  std::optional<int64_t> threads, batch;
  std::vector<Option> named = {textOption("--tokenizer", "a directory", options.tokenizer),
                               textOption("--variant", "an instruction set", options.variant),
                               countOption("-n", options.maxNewTokens, 1, INT32_MAX),
                               countOption("--min-new-tokens", options.minNewTokens, 0, INT32_MAX),
                               countOption("--beams", options.beams, 1, maxBeams),
                               countOption("--top-k", options.topK, 0, INT32_MAX),
                               countOption("--seed", options.seed, 0, INT64_MAX),
                               countOption("--no-repeat-ngram-size", options.noRepeatNgramSize, 0, INT32_MAX),
                               countOption("--batch", batch, 1, 4096),
                               countOption("--threads", threads, 1, ATTN_MAX_WORKERS),
                               realOption("--temperature", options.temperature, Bound::Positive),
                               realOption("--top-p", options.topP, Bound::Fraction),
                               realOption("--min-p", options.minP, Bound::Fraction),
                               realOption("--repetition-penalty", options.repetitionPenalty, Bound::Positive),
                               realOption("--length-penalty", options.lengthPenalty, Bound::Finite)};
  for (Option &option : otherOptions(options))
    named.push_back(std::move(option));
  Expected<std::vector<std::string>> others = parseOptions(argc, argv, switches, named);
  if (!others)
    return others.error();
  if (others->size() > 1)
    return Error{"expected one model file, got " + inQuotes((*others)[0]) + " and " + inQuotes((*others)[1])};
  if (!others->empty())
    options.model = others->front();
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
