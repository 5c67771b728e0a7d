//===- TokenizerParts.cpp - Which parts of a tokenizer.json are supported ------------------------------===//

#include "TokenizerParts.h"

namespace attn::text {

/// One supported kind of a part. A null `type` is JSON's null: the step is left out.
template <typename Part> struct PartRow {
  const char *type;
  Expected<std::shared_ptr<const Part>> (*create)(const JsonRef &part);
};

template <typename Part> static Expected<std::shared_ptr<const Part>> createNothing(const JsonRef &) {
  return std::shared_ptr<const Part>();
}

static const PartRow<Normalizer> normalizers[] = {
    {nullptr, createNothing},
};
static const PartRow<PreTokenizer> preTokenizers[] = {
    {"ByteLevel", createByteLevelPreTokenizer},
};
static const PartRow<TokenModel> models[] = {
    {"BPE", createBpe},
};
static const PartRow<PostProcessor> postProcessors[] = {
    {nullptr, createNothing},
    {"ByteLevel", createByteLevelProcessor},
    {"TemplateProcessing", createTemplateProcessor},
};
static const PartRow<TokenDecoder> decoders[] = {
    {"ByteLevel", createByteLevelDecoder},
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
static Expected<std::shared_ptr<const Part>> create(const JsonRef &root, const char *member,
                                                    const PartRow<Part> (&rows)[n]) {
  JsonRef part = root.get(member);
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

Expected<std::shared_ptr<const Normalizer>> createNormalizer(const JsonRef &root) {
  return create(root, "normalizer", normalizers);
}
Expected<std::shared_ptr<const PreTokenizer>> createPreTokenizer(const JsonRef &root) {
  return create(root, "pre_tokenizer", preTokenizers);
}
Expected<std::shared_ptr<const TokenModel>> createTokenModel(const JsonRef &root) {
  return create(root, "model", models);
}
Expected<std::shared_ptr<const PostProcessor>> createPostProcessor(const JsonRef &root) {
  return create(root, "post_processor", postProcessors);
}
Expected<std::shared_ptr<const TokenDecoder>> createDecoder(const JsonRef &root) {
  return create(root, "decoder", decoders);
}

} // namespace attn::text
