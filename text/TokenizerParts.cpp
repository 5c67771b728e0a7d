//===- TokenizerParts.cpp - Which parts of a tokenizer.json are supported ------------------------------===//

#include "TokenizerParts.h"

#include <algorithm>

namespace attn::text {

/// One supported kind of a part. A null `type` is JSON's null: the step is left out.
template <typename Part> struct PartRow {
  const char *type;
  Expected<std::shared_ptr<const Part>> (*create)(const JsonRef &part);
};

template <typename Part> static Expected<std::shared_ptr<const Part>> createNothing(const JsonRef &) {
  return std::shared_ptr<const Part>();
}

// A Sequence applies the parts in a list of its own, one after the other.
static CreatedNormalizer createNormalizerSequence(const JsonRef &part);
static CreatedPreTokenizer createPreTokenizerSequence(const JsonRef &part);
static CreatedPostProcessor createPostProcessorSequence(const JsonRef &part);
static CreatedDecoder createDecoderSequence(const JsonRef &part);

static const PartRow<Normalizer> normalizers[] = {
    {nullptr, createNothing},
    {"BertNormalizer", createBertNormalizer},
    {"Lowercase", createLowercase},
    {"NFC", createNfc},
    {"NFD", createNfd},
    {"NFKC", createNfkc},
    {"NFKD", createNfkd},
    {"Nmt", createNmt},
    {"Precompiled", createPrecompiled},
    {"Prepend", createPrepend},
    {"Replace", createReplace},
    {"Sequence", createNormalizerSequence},
    {"Strip", createStrip},
    {"StripAccents", createStripAccents},
};
static const PartRow<PreTokenizer> preTokenizers[] = {
    {nullptr, createNothing},
    {"BertPreTokenizer", createBertPreTokenizer},
    {"ByteLevel", createByteLevelPreTokenizer},
    {"CharDelimiterSplit", createCharDelimiterSplit},
    {"Digits", createDigits},
    {"Metaspace", createMetaspacePreTokenizer},
    {"Punctuation", createPunctuation},
    {"Sequence", createPreTokenizerSequence},
    {"Split", createSplit},
    {"Whitespace", createWhitespace},
    {"WhitespaceSplit", createWhitespaceSplit},
};
static const PartRow<TokenModel> models[] = {
    {"BPE", createBpe},
    {"Unigram", createUnigram},
    {"WordLevel", createWordLevel},
    {"WordPiece", createWordPiece},
};
static const PartRow<PostProcessor> postProcessors[] = {
    {nullptr, createNothing},
    {"BertProcessing", createClsSepProcessor},
    {"ByteLevel", createByteLevelProcessor},
    {"RobertaProcessing", createClsSepProcessor},
    {"Sequence", createPostProcessorSequence},
    {"TemplateProcessing", createTemplateProcessor},
};
static const PartRow<TokenDecoder> decoders[] = {
    {nullptr, createJoin},
    {"BPEDecoder", createBpeDecoder},
    {"ByteFallback", createByteFallback},
    {"ByteLevel", createByteLevelDecoder},
    {"Fuse", createFuse},
    {"Metaspace", createMetaspaceDecoder},
    {"Replace", createReplaceDecoder},
    {"Sequence", createDecoderSequence},
    {"Strip", createStripDecoder},
    {"WordPiece", createWordPieceDecoder},
};

/// "null, ByteLevel, TemplateProcessing".
template <typename Part, size_t n> static std::string list(const PartRow<Part> (&rows)[n]) {
  std::string result;
  for (const PartRow<Part> &row : rows)
    result += (result.empty() ? "" : ", ") + std::string(row.type ? row.type : "null");
  return result;
}

std::string describeSupportedParts(const std::string &indent) {
  return indent + "normalizer: " + list(normalizers) + "\n" + indent + "pre_tokenizer: " + list(preTokenizers) + "\n" +
         indent + "model: " + list(models) + "\n" + indent + "post_processor: " + list(postProcessors) + "\n" + indent +
         "decoder: " + list(decoders) + "\n";
}

template <typename Part, size_t n>
static Expected<std::shared_ptr<const Part>> create(const JsonRef &part, const PartRow<Part> (&rows)[n]) {
  std::string kind = "null";
  if (!part.isNull()) {
    if (Status status = part.expectObject(); !status)
      return status.error();
    Expected<std::string> type = part.get("type").string();
    if (!type)
      return type.error();
    kind = *type;
  }
  for (const PartRow<Part> &row : rows)
    if (part.isNull() ? !row.type : row.type && kind == row.type)
      return row.create(part);
  return part.fail((part.isNull() ? kind : inQuotes(kind)) + " is not supported; supported: " + list(rows));
}

/// The parts in the list `member` of a Sequence; null parts are errors.
template <typename Part, size_t n>
static Expected<std::vector<std::shared_ptr<const Part>>> createAll(const JsonRef &part, const char *member,
                                                                    const PartRow<Part> (&rows)[n]) {
  JsonRef list = part.get(member);
  if (Status status = list.expectArray(); !status)
    return status.error();
  std::vector<std::shared_ptr<const Part>> result;
  for (size_t i = 0; i < list->size(); ++i) {
    if (Status status = list.at(i).expectObject(); !status)
      return status.error();
    Expected<std::shared_ptr<const Part>> created = create(list.at(i), rows);
    if (!created)
      return created.error();
    if (*created)
      result.push_back(*created);
  }
  return result;
}

namespace {

struct NormalizerSequence : Normalizer {
  std::vector<std::shared_ptr<const Normalizer>> parts;
  Expected<std::string> normalize(std::string_view text, bool &atStart) const override {
    std::string result(text);
    for (const auto &part : parts) {
      Expected<std::string> next = part->normalize(result, atStart);
      if (!next)
        return next;
      result = std::move(*next);
    }
    return result;
  }
  bool hasLowercase() const override {
    return std::any_of(parts.begin(), parts.end(), [](const auto &part) { return part->hasLowercase(); });
  }
};

struct PreTokenizerSequence : PreTokenizer {
  std::vector<std::shared_ptr<const PreTokenizer>> parts;
  Status split(std::string_view text, bool atStart, Words &words) const override {
    Words current, next;
    current.add(text);
    current.atStart = atStart;
    for (size_t i = 0; i < parts.size(); ++i) {
      bool last = i + 1 == parts.size();
      Words &target = last ? words : next;
      for (size_t k = 0; k < current.size(); ++k)
        if (Status status = parts[i]->split(current[k], current.atStart && k == 0, target); !status)
          return status;
      if (last)
        return {};
      std::swap(current, next);
      next.clear();
    }
    words.add(text); // no parts
    return {};
  }
};

struct PostProcessorSequence : PostProcessor {
  std::vector<std::shared_ptr<const PostProcessor>> parts;
  std::vector<TokenId> process(std::vector<TokenId> ids) const override {
    for (const auto &part : parts)
      ids = part->process(std::move(ids));
    return ids;
  }
};

} // namespace

template <typename Sequence, typename Part, size_t n>
static Expected<std::shared_ptr<const Part>> createSequence(const JsonRef &part, const char *member,
                                                            const PartRow<Part> (&rows)[n]) {
  auto parts = createAll(part, member, rows);
  if (!parts)
    return parts.error();
  auto result = std::make_shared<Sequence>();
  result->parts = std::move(*parts);
  return std::shared_ptr<const Part>(std::move(result));
}
static CreatedNormalizer createNormalizerSequence(const JsonRef &part) {
  return createSequence<NormalizerSequence>(part, "normalizers", normalizers);
}
static CreatedPreTokenizer createPreTokenizerSequence(const JsonRef &part) {
  return createSequence<PreTokenizerSequence>(part, "pretokenizers", preTokenizers);
}
static CreatedPostProcessor createPostProcessorSequence(const JsonRef &part) {
  return createSequence<PostProcessorSequence>(part, "processors", postProcessors);
}
static CreatedDecoder createDecoderSequence(const JsonRef &part) {
  auto parts = createAll(part, "decoders", decoders);
  if (!parts)
    return parts.error();
  return createDecoderSequence(part, std::move(*parts));
}

Expected<std::shared_ptr<const Normalizer>> createNormalizer(const JsonRef &root) {
  return create(root.get("normalizer"), normalizers);
}
std::shared_ptr<const Normalizer> lowercaseFirst(std::shared_ptr<const Normalizer> normalizer) {
  if (normalizer && normalizer->hasLowercase())
    return normalizer;
  auto result = std::make_shared<NormalizerSequence>();
  result->parts.push_back(makeLowercase());
  if (normalizer)
    result->parts.push_back(std::move(normalizer));
  return result;
}
Expected<std::shared_ptr<const PreTokenizer>> createPreTokenizer(const JsonRef &root) {
  return create(root.get("pre_tokenizer"), preTokenizers);
}
Expected<std::shared_ptr<const TokenModel>> createTokenModel(const JsonRef &root) {
  return create(root.get("model"), models);
}
Expected<std::shared_ptr<const PostProcessor>> createPostProcessor(const JsonRef &root) {
  return create(root.get("post_processor"), postProcessors);
}
Expected<std::shared_ptr<const TokenDecoder>> createDecoder(const JsonRef &root) {
  return create(root.get("decoder"), decoders);
}

} // namespace attn::text
