//===- Fixtures.h - Files that the text tests share ----------------------------------------------------===//
#ifndef ATTN_TEST_TEXT_FIXTURES_H
#define ATTN_TEST_TEXT_FIXTURES_H

#include "text/Json.h"
#include "text/Tokenizer.h"
#include "text/Utf8.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace attn::text {

/// A path inside the repository.
inline std::string sourcePath(const std::string &path) { return ATTN_TEST_SOURCE_DIR "/" + path; }
inline std::string fixturePath(const std::string &name) { return sourcePath("test/fixtures/tokenizer/" + name); }
inline std::string summarizerPath(const std::string &name) { return sourcePath("examples/summarizer/" + name); }

inline std::string contentOf(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream stream;
  stream << file.rdbuf();
  EXPECT_TRUE(file) << path;
  return stream.str();
}

inline nlohmann::json jsonOf(const std::string &path) { return nlohmann::json::parse(contentOf(path)); }

inline std::vector<nlohmann::json> jsonLinesOf(const std::string &path) {
  std::vector<nlohmann::json> result;
  std::stringstream stream(contentOf(path));
  for (std::string line; std::getline(stream, line);)
    result.push_back(nlohmann::json::parse(line));
  return result;
}

inline std::vector<TokenId> idsOf(const nlohmann::json &value) { return value.get<std::vector<TokenId>>(); }

inline Tokenizer loadSummarizer() {
  Expected<Tokenizer> tokenizer = Tokenizer::load(summarizerPath("tokenizer.json"));
  EXPECT_TRUE(bool(tokenizer)) << tokenizer.error().text;
  return *tokenizer;
}

/// Ids of `text`; a failed test and nothing on an error.
inline std::vector<TokenId> encode(const Tokenizer &tokenizer, std::string_view text, EncodeOptions options = {}) {
  Expected<std::vector<TokenId>> ids = tokenizer.encode(text, options);
  if (!ids) {
    ADD_FAILURE() << ids.error().text;
    return {};
  }
  return *ids;
}

inline std::string decode(const Tokenizer &tokenizer, const std::vector<TokenId> &ids, bool skipSpecial = true) {
  Expected<std::string> text = tokenizer.decode(ids, skipSpecial);
  if (!text) {
    ADD_FAILURE() << text.error().text;
    return {};
  }
  return *text;
}

/// The text of a line with a member "text", or "bytes" in hexadecimal.
inline std::string textOf(const nlohmann::json &line) {
  if (line.contains("text"))
    return line["text"];
  std::string hex = line["bytes"], bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// Decodes one id at a time and checks that every result is valid UTF-8.
inline std::string streamed(const Tokenizer &tokenizer, const std::vector<TokenId> &ids, bool skipSpecial) {
  StreamDecoder decoder(tokenizer, skipSpecial);
  std::string result;
  for (TokenId id : ids) {
    Expected<std::string> part = decoder.push(id);
    EXPECT_TRUE(bool(part));
    EXPECT_EQ(findInvalidUtf8(*part), std::string_view::npos);
    result += *part;
  }
  Expected<std::string> rest = decoder.finish();
  EXPECT_TRUE(bool(rest));
  return result + *rest;
}

} // namespace attn::text

#endif // ATTN_TEST_TEXT_FIXTURES_H
