// features.cpp: what training a summariser reads (docs/features.md). Tokenizes articles and summaries, lines of JSON such as
// {"article": "…", "summary": "…"}, and prints the shapes of their batches and how the first pair is laid out.
//
//   features-example TOKENIZER_DIR pairs.jsonl
#include "text/Features.h"
#include "text/Json.h"
#include "text/Tokenizer.h"

#include <cstdio>
#include <fstream>

using namespace attn::text;

/// The ids of one text of a line.
static Expected<std::vector<TokenId>> encode(const Tokenizer &tokenizer, const JsonRef &line, const char *member) {
  Expected<std::string> text = line.get(member).string();
  if (!text)
    return text.error();
  return tokenizer.encode(*text, {/*strict=*/false, /*addSpecialTokens=*/false});
}

static void printShape(const FeatureBatch &batch) {
  std::printf("batch [%lld, %lld]\n", static_cast<long long>(batch.rows), static_cast<long long>(batch.length));
}

static void printLayout(const Tokenizer &tokenizer, const Features &pair) {
  for (size_t i = 0; i < pair.ids.size(); ++i) {
    Expected<std::string> text = tokenizer.decode({pair.ids[i]}, /*skipSpecial=*/false);
    std::printf("%5lld  %g  %s\n", static_cast<long long>(pair.ids[i]), pair.lossMask[i], text ? inQuotes(*text).c_str() : "?");
  }
}

static Status run(const char *directory, const char *path) {
  Expected<Tokenizer> tokenizer = Tokenizer::load(directory);
  if (!tokenizer)
    return tokenizer.error();
  std::ifstream file(path);
  if (!file)
    return Error{std::string("cannot open '") + path + "'"};
  Expected<BatchBuilder> builder = BatchBuilder::create(); // the course's ids, buckets and batch sizes
  if (!builder)
    return builder.error();

  size_t number = 0;
  for (std::string text; std::getline(file, text);) {
    std::string place = std::string(path) + ": line " + std::to_string(++number);
    Expected<nlohmann::json> line = parseJson(text, place);
    if (!line)
      return line.error();
    Expected<std::vector<TokenId>> article = encode(*tokenizer, JsonRef(*line, place), "article");
    if (!article)
      return article.error();
    Expected<std::vector<TokenId>> summary = encode(*tokenizer, JsonRef(*line, place), "summary");
    if (!summary)
      return summary.error();
    if (number == 1)
      printLayout(*tokenizer, buildFeatures(*article, *summary));
    if (std::optional<FeatureBatch> batch = builder->add(*article, *summary))
      printShape(*batch);
  }
  while (std::optional<FeatureBatch> batch = builder->finish())
    printShape(*batch);
  std::printf("%zu pairs, %lld dropped\n", number, static_cast<long long>(builder->dropped()));
  return {};
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fputs("usage: features-example TOKENIZER_DIR pairs.jsonl\n", stderr);
    return 2;
  }
  if (Status status = run(argv[1], argv[2]); !status) {
    std::fprintf(stderr, "features-example: error: %s\n", status.error().text.c_str());
    return 1;
  }
  return 0;
}
