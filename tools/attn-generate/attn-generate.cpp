//===- attn-generate.cpp - Writes text with a compiled model ---------------------------------------------===//

#include "Options.h"

#include "text/CompiledModel.h"
#include "text/ModelFile.h"
#include "tools/common/Tool.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <unistd.h>

using namespace attn::text;

/// Writes to standard output at once, not through stdio: after Ctrl-C nothing is left to be flushed at exit.
static Status emit(std::string_view text) {
  while (!text.empty()) {
    pollfd output = {STDOUT_FILENO, POLLOUT, 0};
    if (Interrupts::signal() && poll(&output, 1, /*timeout=*/0) != 1)
      return Error{"interrupted"}; // nobody reads, and no other signal would end the wait
    ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<size_t>(written));
    else if (errno != EINTR || Interrupts::signal())
      return Error{std::string("cannot write to standard output: ") + std::strerror(errno)};
  }
  return {};
}

static const char *const endNames[] = {"eos", "length", "context", "stop", "interrupt"}; // StopReason

static void report(const Prompt &prompt, const Generation &result) {
  static const char *const reasons[] = {"end of text", "the limit of new tokens", "a full context", "a stop string",
                                        "a stop"};
  std::fprintf(stderr, "attn-generate: %zu prompt tokens, ", prompt.ids.size());
  if (result.reusedTokens)
    std::fprintf(stderr, "%lld of them read before, ", static_cast<long long>(result.reusedTokens));
  std::fprintf(stderr, "%zu new tokens, ", result.ids.size());
  if (result.lookedUpTokens)
    std::fprintf(stderr, "%lld of them looked up, ", static_cast<long long>(result.lookedUpTokens));
  std::fprintf(stderr, "first token after %.1f ms, ", result.firstTokenSeconds * 1e3);
  if (int64_t decoded = result.decodeSteps + result.lookedUpTokens; decoded > 0 && result.decodeSeconds > 0)
    std::fprintf(stderr, "then %.1f tokens/s, ", static_cast<double>(decoded) / result.decodeSeconds);
  std::fprintf(stderr, "ended by %s\n", reasons[static_cast<int>(result.reason)]);
}

namespace {

/// Writes texts in the order of their prompts: the first that has not ended as it comes, later ones when it is their turn.
class Output {
public:
  Output(const Options &options, const std::optional<Tokenizer> &tokenizer) : options(options) {
    for (size_t i = 0; i < options.prompts.size(); ++i)
      texts.push_back({tokenizer ? std::optional<StreamDecoder>(*tokenizer) : std::nullopt, "", "", 0, false});
  }

  Status push(size_t prompt, TokenId id) {
    Text &text = texts[prompt];
    ++text.tokens;
    if (text.decoder) {
      Expected<std::string> characters = text.decoder->push(id);
      if (!characters)
        return characters.error();
      text.whole += *characters;
      if (!options.ids)
        text.waiting += *characters;
    }
    if (options.ids)
      text.waiting += (text.tokens == 1 ? "" : " ") + std::to_string(id);
    return flush();
  }

  Status end(size_t prompt, const Generation &result) {
    if (Status status = finish(texts[prompt]); !status)
      return status;
    if (options.json) {
      nlohmann::ordered_json line = {{"prompt", prompt}};
      if (texts[prompt].decoder)
        line["text"] = texts[prompt].whole;
      line["ids"] = result.ids;
      line["end"] = endNames[static_cast<int>(result.reason)];
      if (result.score != 0)
        line["score"] = result.score;
      texts[prompt].waiting = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    texts[prompt].waiting += "\n";
    texts[prompt].ended = true;
    return flush();
  }

  /// After an interrupt: ends a line that was begun.
  Status interrupt() {
    if (options.json || at == texts.size() || texts[at].tokens == 0)
      return {};
    if (Status status = finish(texts[at]); !status)
      return status;
    texts[at].waiting += "\n";
    return flush();
  }

private:
  struct Text {
    std::optional<StreamDecoder> decoder;
    std::string whole, waiting; ///< so far; what has not been written
    size_t tokens;
    bool ended;
  };

  Status finish(Text &text) {
    Expected<std::string> rest = text.decoder ? text.decoder->finish() : Expected<std::string>("");
    if (!rest)
      return rest.error();
    text.whole += *rest;
    if (!options.ids)
      text.waiting += *rest;
    return {};
  }

  Status flush() {
    for (; at < texts.size(); ++at) {
      if (!options.json || texts[at].ended) {
        std::string waiting = std::move(texts[at].waiting);
        texts[at].waiting.clear();
        if (Status status = emit(waiting); !status)
          return status;
      }
      if (!texts[at].ended)
        return {};
    }
    return {};
  }

  const Options &options;
  std::vector<Text> texts;
  size_t at = 0; ///< the first that has not ended
};

} // namespace

/// Whether any of the stop strings is in the text of `ids`.
static bool containsStop(const Tokenizer &tokenizer, const std::vector<std::string> &stops,
                         const std::vector<TokenId> &ids) {
  Expected<std::string> text = tokenizer.decode(ids);
  for (const std::string &stop : stops)
    if (text && text->find(stop) != std::string::npos)
      return true;
  return false;
}

static Status generate(StepModel &steps, const ModelDirectory &directory, const Options &options,
                       int64_t maxNewTokens) {
  Output output(options, directory.tokenizer);
  Status written;
  GenerateOptions settings = directory.generation.options;
  settings.search = options.searchOptions(settings.search);
  settings.maxNewTokens = maxNewTokens;
  settings.maxSequences = options.batch;
  settings.lookup = options.lookup;
  settings.cancelled = [] { return Interrupts::signal() != 0; };
  settings.onToken = [&](size_t prompt, TokenId id) {
    written = output.push(prompt, id);
    return written && !Interrupts::signal();
  };
  settings.onEnd = [&](size_t prompt, const Generation &result) {
    if (written)
      written = output.end(prompt, result);
    if (options.verbose)
      report(options.prompts[prompt], result);
  };
  if (!options.stopStrings.empty())
    settings.search.stops = [&](const std::vector<TokenId> &ids) {
      return containsStop(*directory.tokenizer, options.stopStrings, ids);
    };

  std::vector<std::vector<TokenId>> prompts;
  for (const Prompt &prompt : options.prompts)
    prompts.push_back(prompt.ids);
  Expected<std::vector<Generation>> results = Generator(steps).run(prompts, settings);
  if (Interrupts::signal() || (!results && written))
    written = output.interrupt();
  if (Interrupts::signal())
    return {};
  if (!results)
    return results.error();
  return written;
}

static Status run(Options &options) {
  Expected<ModelFile> file = ModelFile::open(options.model, options.variant, static_cast<uint32_t>(options.threads));
  if (!file)
    return file.error();
  auto create = options.noCache ? createUncachedModel : createCachedModel;
  Expected<std::unique_ptr<StepModel>> made = create(file->library(), file->model(), file->host());
  if (!made)
    return Error{options.model + ": " + made.error().text};
  StepModel &steps = **made;

  Expected<std::optional<Files>> files = findTokenizer(options.tokenizer, file->library(), options.model);
  if (!files)
    return Error{"--tokenizer: " + files.error().text};
  if (!*files && options.needsTokenizer())
    return Error{"expected --tokenizer DIR, as there is no tokenizer inside the model file or beside it (see --help)"};
  Expected<nlohmann::json> parsed = parseJson(file->library()->json, options.model);
  if (!parsed)
    return parsed.error();
  JsonRef metadata(*parsed, options.model);
  Expected<ModelDirectory> read =
      ModelDirectory::load(files->value_or(Files(file->library(), options.model)), options.needsTokenizer(), &metadata);
  if (!read)
    return read.error();
  ModelDirectory &directory = *read;
  if (directory.tokenizer)
    if (Status status = directory.tokenizer->checkVocabulary(steps.vocabularySize()); !status)
      return status;

  bool strict = !options.replaceInvalid;
  for (Prompt &prompt : options.prompts) {
    if (!prompt.isText)
      continue;
    if (prompt.text.empty())
      return Error{prompt.source + " is empty"};
    Expected<std::vector<TokenId>> ids = directory.encodePrompt(prompt.text, !options.noTemplate, strict);
    if (!ids)
      return Error{prompt.source + ": " + ids.error().text};
    prompt.ids = std::move(*ids);
  }
  bool encoder = steps.encoderLength() != 0;
  int64_t maxNewTokens = options.maxNewTokens.value_or(INT32_MAX);
  if (!options.maxNewTokens)
    for (const Prompt &prompt : options.prompts) // max_length: of the longest, as in a padded batch
      maxNewTokens = std::min(maxNewTokens, directory.generation.newTokens(static_cast<int64_t>(
                                                encoder ? directory.generation.options.decoderStart.size()
                                                        : prompt.ids.size())));
  // The last new token is not read.
  int64_t most = encoder ? steps.encoderLength() : steps.contextLength() - (maxNewTokens - 1);
  for (Prompt &prompt : options.prompts) { // all of them before anything runs
    if (options.truncate && static_cast<int64_t>(prompt.ids.size()) > most) {
      if (most < 1)
        return Error{prompt.source + ": a context of " + std::to_string(steps.contextLength()) +
                     " tokens has no room for a prompt and " + std::to_string(maxNewTokens) + " new tokens"};
      if (prompt.isText) {
        Expected<std::vector<TokenId>> ids = directory.encodePrompt(prompt.text, !options.noTemplate, strict, most);
        if (!ids)
          return Error{prompt.source + ": " + ids.error().text};
        prompt.ids = std::move(*ids);
      } else {
        prompt.ids.resize(static_cast<size_t>(most));
      }
    }
    if (Status status = Generator(steps).check(prompt.ids); !status)
      return options.prompts.size() == 1 ? status : Status(Error{prompt.source + ": " + status.error().text});
  }
  Interrupts interrupts(file->runtime());
  return generate(steps, directory, options, maxNewTokens);
}

int main(int argc, char **argv) { return runTool("attn-generate", helpText, parseArguments(argc, argv), run); }
