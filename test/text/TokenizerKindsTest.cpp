//===- TokenizerKindsTest.cpp - Tokenizers of many kinds, exactly as the `tokenizers` package ---------------===//
//
// The tokenizers, the lines and what the package makes of them were written by
// test/fixtures/tokenizer/make_kinds.py.
//
//===--------------------------------------------------------------------------------------------------===//

#include "Fixtures.h"
#include "TemporaryDirectory.h"
#include "text/Unicode.h"
#include "text/Utf8.h"

#include <atomic>
#include <thread>

using namespace attn::text;
using nlohmann::json;

class TokenizerKinds : public testing::TestWithParam<const char *> {
protected:
  std::string path(const char *name) const { return fixturePath(std::string(GetParam()) + "/" + name); }
  Tokenizer load() const {
    Expected<Tokenizer> tokenizer = Tokenizer::load(path("tokenizer.json"));
    EXPECT_TRUE(bool(tokenizer)) << tokenizer.error().text;
    return *tokenizer;
  }
};

TEST_P(TokenizerKinds, Ids) {
  Tokenizer tokenizer = load();
  std::vector<json> lines = jsonLinesOf(fixturePath("lines.jsonl")), ids = jsonLinesOf(path("ids.jsonl"));
  ASSERT_GE(lines.size(), 2000u);
  ASSERT_EQ(lines.size(), ids.size());
  for (size_t i = 0; i < lines.size(); ++i)
    EXPECT_EQ(encode(tokenizer, textOf(lines[i])), idsOf(ids[i])) << lines[i];
}

TEST_P(TokenizerKinds, DecodesAnyIds) {
  Tokenizer tokenizer = load();
  for (const json &line : jsonLinesOf(path("decoded.jsonl"))) {
    std::vector<TokenId> ids = idsOf(line["ids"]);
    for (bool skipSpecial : {true, false}) {
      std::string expected = line[skipSpecial ? "decoded" : "raw"];
      EXPECT_EQ(decode(tokenizer, ids, skipSpecial), expected) << line;
      EXPECT_EQ(streamed(tokenizer, ids, skipSpecial), expected) << line;
    }
  }
}

/// The cache of words is shared by threads and gives each the same ids.
TEST_P(TokenizerKinds, SeveralThreads) {
  Tokenizer tokenizer = load();
  std::vector<json> lines = jsonLinesOf(fixturePath("lines.jsonl")), ids = jsonLinesOf(path("ids.jsonl"));
  std::atomic<size_t> wrong = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = t % 2; i < lines.size(); i += 2) {
        Expected<std::vector<TokenId>> got = tokenizer.encode(textOf(lines[i]));
        wrong += !got || *got != idsOf(ids[i]);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerKinds,
                         testing::Values("wordpiece", "unigram", "unigram-nfkc", "llama3", "qwen", "llama2"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(SentencePiece, IdsAndText) {
  Expected<Tokenizer> tokenizer = Tokenizer::load(fixturePath("sentencepiece")); // finds spiece.model
  ASSERT_TRUE(bool(tokenizer)) << tokenizer.error().text;
  size_t texts = 0;
  for (const json &line : jsonLinesOf(fixturePath("sentencepiece/ids.jsonl"))) {
    if (line.contains("text")) {
      EXPECT_EQ(encode(*tokenizer, textOf(line)), idsOf(line["ids"])) << line;
      ++texts;
    }
    EXPECT_EQ(decode(*tokenizer, idsOf(line["ids"])), line["decoded"]) << line;
    EXPECT_EQ(streamed(*tokenizer, idsOf(line["ids"]), true), line["decoded"]) << line;
  }
  EXPECT_GE(texts, 1500u);
  EXPECT_TRUE(tokenizer->isSpecial(1));
  EXPECT_FALSE(tokenizer->isSpecial(300));
  EXPECT_EQ(tokenizer->idOf("</s>"), 2);
  EXPECT_EQ(decode(*tokenizer, {1, 2}, /*skipSpecial=*/false), "<s></s>");
}

TEST(SentencePiece, TokenizerConfig) {
  TemporaryDirectory directory;
  directory.write("tokenizer.model", contentOf(fixturePath("sentencepiece/spiece.model")));
  auto idsWith = [&](const char *config) {
    directory.write("tokenizer_config.json", config);
    Expected<Tokenizer> tokenizer = Tokenizer::load(directory.path());
    EXPECT_TRUE(bool(tokenizer)) << tokenizer.error().text;
    return encode(*tokenizer, "the");
  };
  std::vector<TokenId> plain = idsWith("{}"), started = plain, ended = plain;
  started.insert(started.begin(), 1);
  ended.push_back(2);
  EXPECT_EQ(idsWith(R"({"add_bos_token": true})"), started);
  EXPECT_EQ(idsWith(R"({"tokenizer_class": "T5Tokenizer"})"), ended);
  EXPECT_EQ(idsWith(R"({"tokenizer_class": "T5Tokenizer", "add_eos_token": false})"), plain);
}

TEST(SentencePiece, Errors) {
  TemporaryDirectory directory;
  auto errorOf = [&](const std::string &name) {
    Expected<Tokenizer> tokenizer = Tokenizer::load(directory.path() + name);
    return tokenizer ? std::string("no error") : tokenizer.error().text;
  };
  EXPECT_EQ(errorOf(""), "cannot open '" + directory.path() + "/tokenizer.json': No such file or directory");
  directory.write("spiece.model", "no protocol buffer");
  EXPECT_EQ(errorOf("").find(directory.path() + "/spiece.model: not a model of SentencePiece: "), 0u) << errorOf("");
  directory.write("spiece.model", contentOf(fixturePath("sentencepiece/spiece.model")));
  directory.write("tokenizer_config.json", "[]");
  EXPECT_EQ(errorOf("/spiece.model"), directory.path() + "/tokenizer_config.json: expected an object, got an array");
  directory.write("tokenizer_config.json", R"({"add_eos_token": 1})");
  EXPECT_EQ(errorOf("/spiece.model"),
            directory.path() + "/tokenizer_config.json: add_eos_token: expected a boolean, got another number");
}

/// Each code point has a property of Unicode.h exactly when the parts of the package say so.
TEST(Unicode, Properties) {
  json classes = jsonOf(fixturePath("classes.json"));
  const std::pair<const char *, bool (*)(uint32_t)> properties[] = {
      {"S", isWhitespace}, {"punctuation", isPunctuation}, {"other", isOther}, {"nonspacing", isNonspacingMark},
      {"marks", isMark},   {"numeric", isNumeric},
  };
  for (auto [name, has] : properties) {
    std::vector<uint32_t> ranges = classes[name];
    size_t next = 0; // the first range that does not end before the code point
    for (uint32_t codePoint = 0; codePoint < 0x110000; ++codePoint) {
      if (codePoint >= 0xD800 && codePoint < 0xE000)
        continue;
      while (next < ranges.size() && ranges[next + 1] < codePoint)
        next += 2;
      ASSERT_EQ(has(codePoint), next < ranges.size() && ranges[next] <= codePoint)
          << name << " U+" << std::hex << codePoint;
    }
  }
}

TEST(Unicode, Graphemes) {
  auto lengths = [](std::string_view text) {
    std::vector<size_t> result;
    for (size_t i = 0; i < text.size(); i += result.back())
      result.push_back(graphemeBytes(text, i));
    return result;
  };
  EXPECT_EQ(lengths("ab\r\nc"), (std::vector<size_t>{1, 1, 2, 1}));
  EXPECT_EQ(lengths("e\u0301\u0323x"), (std::vector<size_t>{5, 1}));
  EXPECT_EQ(lengths("\U0001F1E9\U0001F1EA\U0001F1E9"), (std::vector<size_t>{8, 4}));
}
