//===- attn-generate.cpp - Writes text with a compiled model ---------------------------------------------===//

#include "text/CompiledModel.h"
#include "text/Json.h"
#include "text/ModelDirectory.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <unistd.h>

using namespace attn::text;

static const char help[] = R"(attn-generate: continue a prompt with a compiled model (greedy)

usage: attn-generate MODEL.so --tokenizer DIR (--prompt TEXT | --prompt-file FILE)... [options]

  --tokenizer DIR     the model directory: tokenizer.json, config.json, generation_config.json
  --prompt TEXT       the prompt; may be repeated, prompts are answered one after the other
  --prompt-file FILE  a prompt from a file ('-': standard input), without its last line end; may be repeated
  -n N                at most N new tokens (default: max_new_tokens of the model directory, otherwise 128)
  --threads N         threads to use (default: all CPUs of this process)
  --variant V         use the code for this instruction set (attn-run MODEL.so --describe lists them)
  --no-cache          run the whole sequence for every token, with the entry 'forward'
  --no-template       give the prompt as it is, without the template in config.json
  --replace-invalid   read invalid UTF-8 as U+FFFD instead of refusing it
  --ids               print token ids instead of text
  -v                  print tokens, times and why the text ended to standard error
  --help              this text

Standard output gets the new text of each prompt, as it comes, and a line end after it; nothing else.
Exit status: 0, 1 on an error, 130 after Ctrl-C.

Examples:
  attnc examples/summarizer -o summarizer.so
  attn-generate summarizer.so --tokenizer examples/summarizer --prompt "This package contains tools to …"
  attn-generate summarizer.so --tokenizer examples/summarizer --prompt-file a.txt --prompt-file b.txt -n 20 -v
  attn-generate summarizer.so --tokenizer examples/summarizer --prompt-file - --ids < article.txt
)";

/// A prompt as text and where it came from, for messages.
struct Prompt {
  std::string text, source;
  std::vector<TokenId> ids;
};

struct Options {
  std::string model, tokenizer, variant;
  std::vector<Prompt> prompts;
  int64_t maxNewTokens = 0; ///< 0: not given
  int64_t threads = 0;      ///< 0: not given
  bool noCache = false, noTemplate = false, replaceInvalid = false, ids = false, verbose = false, help = false;
};

/// Longest prompt read from a file; far more than any context holds.
static constexpr uint64_t maxPromptBytes = uint64_t(1) << 30;

static Expected<int64_t> readNumber(const std::string &flag, const std::string &text, int64_t max) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > max)
    return Error{flag + ": expected a number of 1 to " + std::to_string(max) + ", got " + inQuotes(text)};
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

static Expected<Options> parseArguments(int argc, char **argv) {
  Options options;
  const std::pair<const char *, bool *> switches[] = {{"--no-cache", &options.noCache},
                                                      {"--no-template", &options.noTemplate},
                                                      {"--replace-invalid", &options.replaceInvalid},
                                                      {"--ids", &options.ids},
                                                      {"-v", &options.verbose},
                                                      {"--help", &options.help},
                                                      {"-h", &options.help}};
  const char *withValue[] = {"--tokenizer", "--prompt", "--prompt-file", "-n", "--threads", "--variant"};

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
    for (const char *name : withValue)
      known |= flag == name;
    if (!known)
      return Error{"unknown option " + inQuotes(argument) + " (see --help)"};
    if (equals == std::string::npos && i + 1 == argc)
      return Error{flag + ": expected a value"};
    std::string value = equals == std::string::npos ? argv[++i] : argument.substr(equals + 1);

    if (flag == "--tokenizer") {
      options.tokenizer = value;
    } else if (flag == "--variant") {
      options.variant = value;
    } else if (flag == "--prompt") {
      options.prompts.push_back({value, "the prompt", {}});
    } else if (flag == "--prompt-file") {
      Expected<std::string> text = readPromptFile(value);
      if (!text)
        return text.error();
      options.prompts.push_back({*text, "'" + value + "'", {}});
    } else {
      Expected<int64_t> number = readNumber(flag, value, flag == "-n" ? INT32_MAX : ATTN_MAX_WORKERS);
      if (!number)
        return number.error();
      (flag == "-n" ? options.maxNewTokens : options.threads) = *number;
    }
  }
  if (options.help)
    return options;
  if (options.model.empty())
    return Error{"expected a model file (see --help)"};
  if (options.tokenizer.empty())
    return Error{"expected --tokenizer DIR (see --help)"};
  if (options.prompts.empty())
    return Error{"expected --prompt TEXT or --prompt-file FILE (see --help)"};
  return options;
}

// What the signal handler needs. SA_RESETHAND: a second Ctrl-C ends the program at once.
static volatile std::sig_atomic_t interrupted = 0;
static attn_runtime *runtimeToCancel = nullptr;

static void onInterrupt(int signal) {
  interrupted = signal;
  if (runtimeToCancel)
    attn_runtime_cancel(runtimeToCancel);
}

static void handleInterrupts(attn_runtime *runtime) {
  runtimeToCancel = runtime;
  struct sigaction action = {};
  action.sa_handler = onInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// The runtime, the file and the open model, freed in the reverse order.
struct LoadedModel {
  attn_runtime *runtime = nullptr;
  attn_file *file = nullptr;
  attn_model *model = nullptr;
  std::unique_ptr<StepModel> steps;

  LoadedModel() = default;
  LoadedModel(const LoadedModel &) = delete;
  ~LoadedModel() {
    steps.reset();
    if (model)
      attn_file_library(file)->close(model);
    attn_file_free(file);
    runtimeToCancel = nullptr;
    attn_runtime_free(runtime);
  }

  Status load(const Options &options) {
    attn_error error = {};
    error.size = sizeof error;
    attn_runtime_options runtimeOptions = {};
    runtimeOptions.size = sizeof runtimeOptions;
    runtimeOptions.threads = static_cast<uint32_t>(options.threads);
    const char *variant = options.variant.empty() ? nullptr : options.variant.c_str();
    if (attn_runtime_create(&runtimeOptions, &runtime, &error) != ATTN_OK ||
        attn_file_load(options.model.c_str(), &file, &error) != ATTN_OK ||
        attn_file_open(file, attn_runtime_host(runtime), variant, &model, &error) != ATTN_OK)
      return Error{error.text};
    auto create = options.noCache ? createUncachedModel : createCachedModel;
    Expected<std::unique_ptr<StepModel>> made = create(attn_file_library(file), model, attn_runtime_host(runtime));
    if (!made)
      return Error{options.model + ": " + made.error().text};
    steps = std::move(*made);
    return {};
  }
};

/// Writes to standard output at once, not through stdio: after Ctrl-C nothing is left to be flushed at exit.
static Status emit(std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<size_t>(written));
    else if (errno != EINTR || interrupted)
      return Error{std::string("cannot write to standard output: ") + std::strerror(errno)};
  }
  return {};
}

static void report(const Prompt &prompt, const Generation &result) {
  static const char *const reasons[] = {"end of text", "the limit of new tokens", "a full context", "a stop"};
  std::fprintf(stderr, "attn-generate: %zu prompt tokens, %zu new tokens, first token after %.1f ms, ",
               prompt.ids.size(), result.ids.size(), result.firstTokenSeconds * 1e3);
  if (result.decodeSteps > 0 && result.decodeSeconds > 0)
    std::fprintf(stderr, "then %.1f tokens/s, ", static_cast<double>(result.decodeSteps) / result.decodeSeconds);
  std::fprintf(stderr, "ended by %s\n", reasons[static_cast<int>(result.reason)]);
}

/// Generates after one prompt and writes it to standard output.
static Status generate(LoadedModel &loaded, const ModelDirectory &directory, const Prompt &prompt,
                       const Options &options) {
  StreamDecoder decoder(directory.tokenizer);
  Status output;
  bool first = true;
  GenerateOptions settings;
  settings.maxNewTokens = options.maxNewTokens ? options.maxNewTokens : directory.maxNewTokens.value_or(128);
  settings.eosIds = directory.eosIds;
  settings.cancelled = [] { return interrupted != 0; };
  settings.onToken = [&](TokenId id) {
    Expected<std::string> text =
        options.ids ? Expected<std::string>((first ? "" : " ") + std::to_string(id)) : decoder.push(id);
    first = false;
    output = text ? emit(*text) : Status(text.error());
    return output && !interrupted;
  };

  Expected<Generation> result = Generator(*loaded.steps).run(prompt.ids, settings);
  bool finishLine = output && (result || !first);
  if (finishLine) {
    Expected<std::string> rest = decoder.finish();
    output = rest ? emit(*rest + "\n") : Status(rest.error());
  }
  if (interrupted)
    return {};
  if (!result)
    return result.error();
  if (options.verbose)
    report(prompt, *result);
  return output;
}

static Status run(Options &options) {
  Expected<ModelDirectory> directory = ModelDirectory::load(options.tokenizer);
  if (!directory)
    return directory.error();
  for (Prompt &prompt : options.prompts) {
    if (prompt.text.empty())
      return Error{prompt.source + " is empty"};
    Expected<std::vector<TokenId>> ids =
        directory->encodePrompt(prompt.text, !options.noTemplate, /*strict=*/!options.replaceInvalid);
    if (!ids)
      return Error{prompt.source + ": " + ids.error().text};
    prompt.ids = std::move(*ids);
  }

  LoadedModel loaded;
  if (Status status = loaded.load(options); !status)
    return status;
  for (const Prompt &prompt : options.prompts) // all of them before anything runs
    if (Status status = Generator(*loaded.steps).check(prompt.ids); !status)
      return options.prompts.size() == 1 ? status : Status(Error{prompt.source + ": " + status.error().text});
  handleInterrupts(loaded.runtime);
  for (const Prompt &prompt : options.prompts) {
    if (interrupted)
      break;
    if (Status status = generate(loaded, *directory, prompt, options); !status)
      return status;
  }
  return {};
}

int main(int argc, char **argv) {
  Expected<Options> options = parseArguments(argc, argv);
  Status status;
  if (!options)
    status = options.error();
  else if (options->help)
    std::fputs(help, stdout);
  else
    status = run(*options);
  if (!status) {
    std::fprintf(stderr, "attn-generate: error: %s\n", status.error().text.c_str());
    return 1;
  }
  return interrupted ? 128 + static_cast<int>(interrupted) : 0;
}
