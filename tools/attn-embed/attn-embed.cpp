//===- attn-embed.cpp - Vectors of sentences with a compiled model ---------------------------------------===//

#include "text/Json.h"
#include "text/ModelFile.h"
#include "text/SentenceDirectory.h"
#include "text/SentenceEmbedder.h"
#include "tools/common/Arguments.h"
#include "tools/common/Tool.h"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <unistd.h>

using namespace attn::text;

static const char help[] = R"(attn-embed: a vector for each sentence, with a compiled model of sentence-transformers

usage: attn-embed MODEL.so (-o FILE.npy | --json) [options] < sentences

Reads a sentence from each line and writes the model's sentence_embedding, in the order of the lines: float32
[sentences, width] as .npy, or with --json a line for each: {"sentence": 0, "embedding": [0.12, -0.5, …]}.

  -o FILE             where to write ('-': standard output, which is the default of --json)
  --json              lines of JSON instead of .npy
  --input FILE        read sentences from a file instead of standard input
  --tokenizer DIR     the model directory: tokenizer.json and the files of sentence-transformers; or a model file
                      (*.so) that has them inside (default: what attnc --tokenizer put into MODEL.so, or else its
                      directory)
  --prompt-name NAME  put this prompt of config_sentence_transformers.json before each sentence (default: its
                      default_prompt_name)
  --max-seq-length N  cut sentences after N tokens (default: max_seq_length in sentence_bert_config.json, or
                      model_max_length in tokenizer_config.json; never more than the model takes)
  --no-truncate       refuse sentences that are longer instead of cutting their end
  --replace-invalid   read invalid UTF-8 as U+FFFD instead of refusing it
  --batch N           at most N tokens, padding included, in one run (default 1024)
  --threads N         threads to use (default: all CPUs of this process)
  --variant V         use the code for this instruction set (attn-run MODEL.so --describe lists them)
  --help              this text

Sentences of similar lengths share a run; a sentence's vector is the same, bit for bit, whatever it shares a run with.
How many were embedded and cut, and how fast, goes to standard error. Exit status: 0, 1 on an error, 130 after Ctrl-C.

Examples:
  attnc all-MiniLM-L6-v2 -o minilm.so
  attn-embed minilm.so --tokenizer all-MiniLM-L6-v2 -o vectors.npy < sentences.txt
  attn-embed minilm.so --tokenizer all-MiniLM-L6-v2 --json --input sentences.txt | head -1
)";

struct Options {
  std::string model, tokenizer, variant, input, output, promptName;
  std::optional<int64_t> maxTokens, batch, threads;
  bool json = false, noTruncate = false, replaceInvalid = false, help = false;
};

static Expected<Options> parseArguments(int argc, char **argv) {
  Options options;
  Expected<std::vector<std::string>> others = parseOptions(
      argc, argv,
      {{"--json", &options.json},
       {"--no-truncate", &options.noTruncate},
       {"--replace-invalid", &options.replaceInvalid},
       {"--help", &options.help},
       {"-h", &options.help}},
      {textOption("-o", "a file", options.output), textOption("--input", "a file", options.input),
       textOption("--tokenizer", "a directory", options.tokenizer),
       textOption("--prompt-name", "the name of a prompt", options.promptName),
       textOption("--variant", "an instruction set", options.variant), countOption("--max-seq-length", options.maxTokens, 1, INT32_MAX),
       countOption("--batch", options.batch, 1, INT32_MAX),
       countOption("--threads", options.threads, 1, ATTN_MAX_WORKERS)});
  if (!others)
    return others.error();
  if (options.help)
    return options;
  if (others->empty())
    return Error{"expected a model file (see --help)"};
  if (others->size() > 1)
    return Error{"expected one model file, got " + inQuotes((*others)[0]) + " and " + inQuotes((*others)[1])};
  options.model = others->front();
  if (options.output.empty() && !options.json)
    return Error{"expected -o FILE or --json (see --help)"};
  if (options.output.empty())
    options.output = "-";
  return options;
}

/// A file that is complete or not there.
class OutputFile {
public:
  static Expected<OutputFile> open(const std::string &path) {
    attn_output *output = nullptr;
    attn_error error = emptyError();
    if (attn_output_open(path.c_str(), &output, &error) != ATTN_OK)
      return errorOf(error);
    return OutputFile(output);
  }
  FILE *stream() const { return attn_output_stream(output.get()); }

  Status writeNpy(const std::vector<float> &vectors, int64_t width) {
    attn_tensor_info info = {};
    info.dtype = {kDLFloat, 32, 1};
    info.rank = 2;
    DenseTensor tensor(vectors.data(), info, static_cast<int64_t>(vectors.size()) / width, width);
    attn_error error = emptyError();
    if (attn_output_npy(output.get(), &tensor.tensor, &error) != ATTN_OK)
      return errorOf(error);
    return {};
  }

  Status commit() {
    attn_error error = emptyError();
    if (attn_output_commit(output.release(), &error) != ATTN_OK)
      return errorOf(error);
    return {};
  }

private:
  struct Discard {
    void operator()(attn_output *output) const { attn_output_discard(output); }
  };
  explicit OutputFile(attn_output *output) : output(output) {}
  std::unique_ptr<attn_output, Discard> output;
};

/// Shortest digits that give the same float back; null where JSON has no number.
static void writeJson(FILE *stream, const std::vector<float> &vectors, int64_t width) {
  std::string line;
  size_t count = vectors.size() / static_cast<size_t>(width);
  for (size_t sentence = 0; sentence < count; ++sentence) {
    line = "{\"sentence\": " + std::to_string(sentence) + ", \"embedding\": [";
    for (int64_t i = 0; i < width; ++i) {
      float value = vectors[sentence * static_cast<size_t>(width) + static_cast<size_t>(i)];
      char digits[32];
      auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
      line += i ? ", " : "";
      line += std::isfinite(value) ? std::string_view(digits, static_cast<size_t>(end - digits)) : "null";
    }
    line += "]}\n";
    std::fwrite(line.data(), 1, line.size(), stream);
  }
}

using Clock = std::chrono::steady_clock;
static double secondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

namespace {

struct Input {
  std::vector<std::vector<TokenId>> sentences;
  size_t cut = 0;
  double seconds = 0; ///< in the tokenizer
};

struct FileCloser {
  void operator()(FILE *file) const {
    if (file != stdin)
      std::fclose(file);
  }
};

} // namespace

static Expected<Input> readSentences(const Options &options, const SentenceDirectory &directory, int64_t most) {
  std::unique_ptr<FILE, FileCloser> file(options.input.empty() ? stdin : std::fopen(options.input.c_str(), "rb"));
  std::string name = options.input.empty() ? "standard input" : "'" + options.input + "'";
  if (!file)
    return Error{"cannot open " + name + ": " + std::strerror(errno)};
  Input input;
  std::unique_ptr<char, decltype(&std::free)> buffer(nullptr, &std::free);
  size_t capacity = 0;
  for (size_t number = 1;; ++number) {
    char *line = buffer.release();
    ssize_t length = getline(&line, &capacity, file.get());
    buffer.reset(line);
    if (Interrupts::signal())
      return input;
    if (length < 0 && !std::feof(file.get()))
      return Error{"cannot read " + name + ": " + std::strerror(errno)};
    if (length < 0)
      return input;
    std::string_view text(line, static_cast<size_t>(length));
    for (char end : {'\n', '\r'})
      if (!text.empty() && text.back() == end)
        text.remove_suffix(1);
    Clock::time_point start = Clock::now();
    Expected<SentenceDirectory::Sentence> sentence = directory.encode(text, !options.replaceInvalid, most);
    input.seconds += secondsSince(start);
    if (!sentence)
      return Error{"line " + std::to_string(number) + ": " + sentence.error().text};
    if (sentence->cut && options.noTruncate)
      return Error{"line " + std::to_string(number) + ": expected at most " + std::to_string(most) +
                   " tokens (--max-seq-length, max_seq_length, or what the model takes)"};
    input.cut += sentence->cut;
    input.sentences.push_back(std::move(sentence->ids));
  }
}

/// Runs all batches, with the progress on a terminal and what came of it at the end on standard error.
static Expected<std::vector<float>> embed(SentenceEmbedder &embedder, const Input &input, int64_t batchTokens,
                                          int64_t most) {
  std::vector<size_t> lengths;
  for (const std::vector<TokenId> &ids : input.sentences)
    lengths.push_back(ids.size());
  bool terminal = isatty(STDERR_FILENO);
  size_t done = 0;
  int64_t tokens = 0, computed = 0;
  Clock::time_point start = Clock::now(), shown = start;
  Expected<std::vector<float>> vectors =
      embedder.run(input.sentences, groupByLength(lengths, batchTokens, embedder.maxBatch()), [&](const SentenceBatch &batch) {
        done += batch.sentences.size();
        tokens += batch.tokens;
        computed += static_cast<int64_t>(batch.sentences.size()) * batch.seq;
        if (terminal && secondsSince(shown) > 0.2) {
          shown = Clock::now();
          std::fprintf(stderr, "\rattn-embed: %zu of %zu sentences, %.0f tokens/s ", done, lengths.size(),
                       static_cast<double>(tokens) / secondsSince(start));
        }
      });
  if (terminal && shown != start)
    std::fputc('\r', stderr);
  if (!vectors || Interrupts::signal())
    return vectors;
  double seconds = std::max(secondsSince(start) + input.seconds, 1e-9);
  std::fprintf(stderr, "attn-embed: %zu sentences in %.2f s: %.1f sentences/s, %.0f tokens/s, %.1f %% padding\n", done,
               seconds, static_cast<double>(done) / seconds, static_cast<double>(tokens) / seconds,
               computed ? 100.0 * static_cast<double>(computed - tokens) / static_cast<double>(computed) : 0.0);
  if (input.cut)
    std::fprintf(stderr, "attn-embed: %zu sentences were cut after %lld tokens\n", input.cut, static_cast<long long>(most));
  return vectors;
}

static Status run(const Options &options) {
  Expected<ModelFile> file = ModelFile::open(options.model, options.variant, static_cast<uint32_t>(options.threads.value_or(0)));
  if (!file)
    return file.error();
  Expected<std::optional<Files>> files = findTokenizer(options.tokenizer, file->library(), options.model);
  if (!files)
    return Error{"--tokenizer: " + files.error().text};
  if (!*files)
    return Error{"expected --tokenizer DIR, as there is no tokenizer inside the model file or beside it (see --help)"};
  Expected<SentenceDirectory> directory = SentenceDirectory::load(**files);
  if (!directory)
    return directory.error();
  if (!options.promptName.empty())
    if (Status status = directory->choosePrompt(options.promptName); !status)
      return Error{"--prompt-name: " + status.error().text};

  Expected<SentenceEmbedder> embedder = SentenceEmbedder::create(file->library(), file->model(), file->host());
  if (!embedder)
    return Error{options.model + ": " + embedder.error().text};
  // An id that the model lacks would otherwise be found in the middle of a long run.
  int64_t vocabulary = 0;
  if (attn_json_int(file->library()->json, "vocab_size", &vocabulary))
    if (Status status = directory->tokenizer->checkVocabulary(vocabulary); !status)
      return status;
  int64_t most = std::min(options.maxTokens.value_or(directory->maxTokens), embedder->maxTokens());

  Expected<OutputFile> output = OutputFile::open(options.output);
  if (!output)
    return output.error();
  Interrupts interrupts(file->runtime());
  Expected<Input> input = readSentences(options, *directory, most);
  if (!input)
    return input.error();
  if (Interrupts::signal())
    return {};
  Expected<std::vector<float>> vectors = embed(*embedder, *input, options.batch.value_or(1024), most);
  if (Interrupts::signal())
    return {};
  if (!vectors)
    return vectors.error();
  if (options.json)
    writeJson(output->stream(), *vectors, embedder->width());
  else if (Status status = output->writeNpy(*vectors, embedder->width()); !status)
    return status;
  return output->commit();
}

int main(int argc, char **argv) { return runTool("attn-embed", help, parseArguments(argc, argv), run); }
