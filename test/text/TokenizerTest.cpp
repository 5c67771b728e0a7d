//===- TokenizerTest.cpp - The ids of the `tokenizers` package, exactly ----------------------------------===//
//
// The expected ids were written by test/fixtures/tokenizer/make.py.
//
//===--------------------------------------------------------------------------------------------------===//

#include "Fixtures.h"
#include "text/Regex.h"
#include "text/Utf8.h"

#include <chrono>
#include <random>

using namespace attn::text;
using nlohmann::json;

TEST(Tokenizer, SummarizerIds) {
  Tokenizer tokenizer = loadSummarizer();
  size_t texts = 0;
  for (const json &line : jsonLinesOf(fixturePath("summarizer.jsonl"))) {
    std::vector<TokenId> ids = idsOf(line["ids"]);
    if (line.contains("text")) {
      std::string text = line["text"];
      ASSERT_EQ(encode(tokenizer, text), ids) << line;
      EXPECT_EQ(decode(tokenizer, ids, /*skipSpecial=*/false), text);
      EXPECT_EQ(streamed(tokenizer, ids, /*skipSpecial=*/false), text);
      ++texts;
    }
  }
  EXPECT_GE(texts, 500u);
}

TEST(Tokenizer, InvalidBytesAreReplacementCharacters) {
  Tokenizer tokenizer = loadSummarizer();
  size_t n = 0;
  for (const json &line : jsonLinesOf(fixturePath("summarizer.jsonl"))) {
    if (!line.contains("bytes"))
      continue;
    EXPECT_EQ(encode(tokenizer, textOf(line)), idsOf(line["ids"])) << line;
    ++n;
  }
  EXPECT_GE(n, 100u);
}

TEST(Tokenizer, DecodesAnyIds) {
  Tokenizer tokenizer = loadSummarizer();
  for (const json &line : jsonLinesOf(fixturePath("summarizer.jsonl"))) {
    if (!line.contains("decoded"))
      continue;
    std::vector<TokenId> ids = idsOf(line["ids"]);
    EXPECT_EQ(decode(tokenizer, ids), line["decoded"]) << line;
    EXPECT_EQ(decode(tokenizer, ids, /*skipSpecial=*/false), line["raw"]) << line;
    EXPECT_EQ(streamed(tokenizer, ids, true), line["decoded"]) << line;
    EXPECT_EQ(streamed(tokenizer, ids, false), line["raw"]) << line;
  }
}

TEST(Tokenizer, SummarizerPromptsAndSummaries) {
  Tokenizer tokenizer = loadSummarizer();
  json items = jsonOf(summarizerPath("expected.json"));
  ASSERT_EQ(items.size(), 24u);
  for (const json &item : items) {
    std::vector<TokenId> ids = encode(tokenizer, item["text"].get<std::string>());
    ids.push_back(*tokenizer.idOf("<eos>"));
    ids.push_back(*tokenizer.idOf("<pad>"));
    EXPECT_EQ(ids, idsOf(item["prompt_ids"])) << item["package"];
    for (const char *search : {"greedy_ids", "beam4_ids"}) {
      const char *text = search[0] == 'g' ? "summary" : "beam4_summary";
      EXPECT_EQ(decode(tokenizer, idsOf(item[search])), item[text]) << item["package"];
    }
  }
}

TEST(Tokenizer, Variants) {
  json small = jsonOf(fixturePath("small.json"));
  for (const json &variant : jsonLinesOf(fixturePath("variants.jsonl"))) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    json content = small;
    content.merge_patch(variant["patch"]);
    Expected<Tokenizer> tokenizer = Tokenizer::parse(content.dump(), "variant");
    ASSERT_TRUE(bool(tokenizer)) << tokenizer.error().text;
    for (const json &item : variant["cases"]) {
      std::string text = item["text"];
      EXPECT_EQ(encode(*tokenizer, text), idsOf(item["ids"])) << item;
      EXPECT_EQ(encode(*tokenizer, text, {false, /*addSpecialTokens=*/false}), idsOf(item["plain"])) << item;
    }
  }
}

/// Each code point is in a class of Regex.h exactly when the `tokenizers` package says so.
TEST(Tokenizer, CharacterClasses) {
  json classes = jsonOf(fixturePath("classes.json"));
  const std::pair<const char *, const char *> patterns[] = {{"L", "[" ATTN_LETTERS "]"},
                                                            {"N", "[" ATTN_NUMBERS "]"},
                                                            {"S", "[" ATTN_SPACES "]"},
                                                            {"w", "[" ATTN_WORD_CHARACTERS "]"}};
  for (auto [name, pattern] : patterns) {
    Expected<Regex> regex = Regex::compile(pattern);
    ASSERT_TRUE(bool(regex)) << regex.error().text;
    std::vector<uint32_t> ranges = classes[name];
    size_t next = 0; // the first range that does not end before the code point
    for (uint32_t codePoint = 0; codePoint < 0x110000; ++codePoint) {
      if (codePoint >= 0xD800 && codePoint < 0xE000)
        continue;
      while (next < ranges.size() && ranges[next + 1] < codePoint)
        next += 2;
      std::string text;
      appendUtf8(codePoint, text);
      Expected<std::optional<size_t>> match = regex->matchAt(text, 0);
      ASSERT_TRUE(bool(match));
      ASSERT_EQ(match->has_value(), next < ranges.size() && ranges[next] <= codePoint)
          << name << " U+" << std::hex << codePoint;
    }
  }
}

TEST(Tokenizer, StrictNamesTheByte) {
  Tokenizer tokenizer = loadSummarizer();
  auto errorOf = [&](std::string_view text) {
    Expected<std::vector<TokenId>> ids = tokenizer.encode(text, {/*strict=*/true, true});
    return ids ? std::string("no error") : ids.error().text;
  };
  EXPECT_EQ(errorOf("\xff"), "invalid UTF-8 at byte 0");
  EXPECT_EQ(errorOf("caf\xc3\xa9 \xe2\x82 x"), "invalid UTF-8 at byte 6");
  EXPECT_EQ(errorOf("x\xed\xa0\x80"), "invalid UTF-8 at byte 1");
  EXPECT_EQ(errorOf("cut off \xf0\x9f\x98"), "invalid UTF-8 at byte 8");
  EXPECT_EQ(errorOf("caf\xc3\xa9"), "no error");
}

TEST(Tokenizer, StreamNeverSplitsACharacter) {
  Tokenizer tokenizer = loadSummarizer();
  std::vector<TokenId> ids = encode(tokenizer, "a\xf0\x9f\x99\x82 b"); // a 🙂 b
  StreamDecoder decoder(tokenizer);
  std::vector<std::string> parts;
  for (TokenId id : ids)
    parts.push_back(*decoder.push(id));
  EXPECT_GT(ids.size(), 3u) << "the emoji should take several tokens";
  EXPECT_EQ(std::count(parts.begin(), parts.end(), "\xf0\x9f\x99\x82"), 1);
  EXPECT_EQ(std::count(parts.begin(), parts.end(), ""), static_cast<long>(ids.size()) - 3);

  // Ending inside the emoji gives one U+FFFD, and the decoder starts anew.
  EXPECT_EQ(*decoder.push(ids[1]), "");
  EXPECT_EQ(*decoder.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(*decoder.finish(), "");
}

TEST(Tokenizer, UnknownIds) {
  Tokenizer tokenizer = loadSummarizer();
  EXPECT_EQ(tokenizer.idLimit(), 8192);
  for (TokenId id : {TokenId(8192), TokenId(-1)}) {
    std::string expected = "token id " + std::to_string(id) + " is not in the vocabulary";
    Expected<std::string> text = tokenizer.decode({2, id});
    ASSERT_FALSE(bool(text));
    EXPECT_EQ(text.error().text, expected);
    StreamDecoder decoder(tokenizer);
    Expected<std::string> part = decoder.push(id);
    ASSERT_FALSE(bool(part));
    EXPECT_EQ(part.error().text, expected);
    EXPECT_EQ(*decoder.push(2), "!");
  }
}

TEST(Tokenizer, NamesTokens) {
  Tokenizer tokenizer = loadSummarizer();
  EXPECT_EQ(tokenizer.idOf("<eos>"), 1);
  EXPECT_EQ(tokenizer.idOf("!"), 2);
  EXPECT_EQ(tokenizer.idOf("no such token"), std::nullopt);
  EXPECT_TRUE(tokenizer.isSpecial(1));
  EXPECT_FALSE(tokenizer.isSpecial(2));
  EXPECT_FALSE(tokenizer.isSpecial(-1));
}

/// A megabyte in one word, with merges everywhere: a quadratic algorithm would take minutes.
TEST(Tokenizer, LongWordsAreNotQuadratic) {
  Tokenizer tokenizer = loadSummarizer();
  std::mt19937 random(1);
  std::string letters, same(1 << 20, 'e'), spaces(1 << 20, ' ');
  for (int i = 0; i < 1 << 20; ++i)
    letters.push_back(static_cast<char>('a' + random() % 26));
  std::string broken(1 << 20, '\xff');
  auto start = std::chrono::steady_clock::now();
  for (const std::string *text : {&letters, &same, &spaces, &broken}) {
    std::vector<TokenId> ids = encode(tokenizer, *text);
    EXPECT_EQ(decode(tokenizer, ids), repairUtf8(*text));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(Utf8, MaximalSubparts) {
  EXPECT_EQ(repairUtf8("\xf0\x80\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); // overlong
  EXPECT_EQ(repairUtf8("\xf0\x9f\x98 x"), "\xef\xbf\xbd x");
  EXPECT_EQ(repairUtf8("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); // a surrogate
  EXPECT_EQ(repairUtf8("\xe2\x82"), "\xef\xbf\xbd");
  EXPECT_EQ(repairUtf8(""), "");
}
