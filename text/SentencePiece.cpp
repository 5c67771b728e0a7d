//===- SentencePiece.cpp - spiece.model and tokenizer.model --------------------------------------------------===//

#include "SentencePiece.h"

#include "Utf8.h"

#include <charconv>
#include <sentencepiece_processor.h>

namespace attn::text {

using Processor = sentencepiece::SentencePieceProcessor;

static const std::string_view spaceMark = "\xE2\x96\x81"; // ▁

namespace {

class SentencePieceModel : public TokenModel {
public:
  explicit SentencePieceModel(std::shared_ptr<const Processor> processor) : processor(std::move(processor)) {
    for (int id = 0; id < this->processor->GetPieceSize(); ++id)
      tokens.add(this->processor->IdToPiece(id), id);
  }
  Status tokenize(std::string_view text, std::vector<TokenId> &ids) const override {
    std::vector<int> found;
    if (auto status = processor->Encode(absl::string_view(text.data(), text.size()), &found); !status.ok())
      return Error{"sentencepiece: " + std::string(status.message())};
    ids.insert(ids.end(), found.begin(), found.end());
    return {};
  }
  bool isControl(TokenId id) const override {
    return id >= 0 && id < processor->GetPieceSize() && processor->IsControl(static_cast<int>(id));
  }

private:
  std::shared_ptr<const Processor> processor;
};

/// SentencePieceProcessor::Decode, piece by piece.
class SentencePieceDecoder : public TokenDecoder {
public:
  explicit SentencePieceDecoder(std::shared_ptr<const Processor> processor) : processor(std::move(processor)) {}
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<SentencePieceDecoder>(processor); }

  Status push(std::string_view token, const Sink &sink) override {
    int id = processor->PieceToId(absl::string_view(token.data(), token.size()));
    uint8_t byte = 0; // "<0xE2>"
    if (processor->IsByte(id) && token.size() == 6 &&
        std::from_chars(token.data() + 3, token.data() + 5, byte, 16).ec == std::errc()) {
      bytes.push_back(static_cast<char>(byte));
      return {};
    }
    if (Status status = finish(sink); !status)
      return status;
    std::string text;
    if (processor->IsUnknown(id)) {
      text = " \xE2\x81\x87 "; // ⁇, the library's default for unknown text
    } else {
      if (first && token.substr(0, spaceMark.size()) == spaceMark)
        token.remove_prefix(spaceMark.size());
      for (size_t i = 0; i < token.size();) {
        bool mark = token.compare(i, spaceMark.size(), spaceMark) == 0;
        text.push_back(mark ? ' ' : token[i]);
        i += mark ? spaceMark.size() : 1;
      }
    }
    first = first && text.empty();
    return sink(text);
  }

  /// A run of bytes: what is no UTF-8 becomes one U+FFFD for each byte.
  Status finish(const Sink &sink) override {
    std::string text;
    for (size_t i = 0; i < bytes.size();) {
      Utf8Step step = readUtf8(bytes, i);
      if (step.kind == Utf8Step::Valid)
        text.append(bytes, i, step.bytes);
      else
        text += "\xEF\xBF\xBD";
      i += step.kind == Utf8Step::Valid ? step.bytes : 1;
    }
    bytes.clear();
    first = first && text.empty();
    return text.empty() ? Status() : sink(text);
  }

private:
  std::shared_ptr<const Processor> processor;
  std::string bytes;
  bool first = true; ///< no text yet
};

struct AddStartAndEnd : PostProcessor {
  std::vector<TokenId> start, end;
  std::vector<TokenId> process(std::vector<TokenId> ids) const override {
    ids.insert(ids.begin(), start.begin(), start.end());
    ids.insert(ids.end(), end.begin(), end.end());
    return ids;
  }
};

} // namespace

/// From the tokenizer_config.json, if there is one.
static Expected<std::shared_ptr<const PostProcessor>> readConfig(const Processor &processor, const Files &files) {
  const char *name = "tokenizer_config.json";
  Expected<std::optional<std::string>> content = files.read(name);
  if (!content)
    return content.error();
  if (!*content)
    return std::shared_ptr<const PostProcessor>();
  std::string configPath = files.pathOf(name);
  Expected<nlohmann::json> json = parseJson(**content, configPath);
  if (!json)
    return json.error();
  JsonRef root(*json, configPath);
  if (Status status = root.expectObject(); !status)
    return status.error();
  bool isT5 = *root.get("tokenizer_class") == "T5Tokenizer";
  auto result = std::make_shared<AddStartAndEnd>();
  struct {
    const char *key;
    bool missing;
    int id;
    std::vector<TokenId> *ids;
  } rows[] = {{"add_bos_token", false, processor.bos_id(), &result->start},
              {"add_eos_token", isT5, processor.eos_id(), &result->end}};
  for (const auto &row : rows) {
    Expected<bool> add = root.getBool(row.key, row.missing);
    if (!add)
      return add.error();
    if (*add && row.id < 0)
      return root.get(row.key).fail("the model has no such token");
    if (*add)
      row.ids->push_back(row.id);
  }
  return std::shared_ptr<const PostProcessor>(std::move(result));
}

Expected<SentencePieceParts> createSentencePiece(std::string_view modelProto, const Files &files, const std::string &name) {
  auto processor = std::make_shared<Processor>();
  auto status = processor->LoadFromSerializedProto(absl::string_view(modelProto.data(), modelProto.size()));
  if (!status.ok())
    return Error{files.pathOf(name) + ": not a model of SentencePiece: " + std::string(status.message())};
  auto postProcessor = readConfig(*processor, files);
  if (!postProcessor)
    return postProcessor.error();
  return SentencePieceParts{std::make_shared<SentencePieceModel>(processor), *postProcessor,
                            std::make_shared<SentencePieceDecoder>(processor)};
}

} // namespace attn::text
