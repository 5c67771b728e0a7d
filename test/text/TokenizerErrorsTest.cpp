//===- TokenizerErrorsTest.cpp - Files that are refused, and why -----------------------------------------===//

#include "Fixtures.h"
#include "text/Regex.h"

#include <random>

using namespace attn::text;
using nlohmann::json;

/// A complete file with three tokens.
static json tiny() {
  return json::parse(R"({
    "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "ByteLevel"},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}})");
}

static std::string errorOfText(std::string_view text) {
  Expected<Tokenizer> tokenizer = Tokenizer::parse(text, "T");
  return tokenizer ? "no error" : tokenizer.error().text;
}

/// The error after setting one member of the tiny file, by JSON pointer.
static std::string errorWith(const char *pointer, const char *value) {
  json content = tiny();
  content[json::json_pointer(pointer)] = json::parse(value);
  return errorOfText(content.dump());
}

TEST(TokenizerErrors, TinyFileIsFine) {
  Expected<Tokenizer> tokenizer = Tokenizer::parse(tiny().dump(), "T");
  ASSERT_TRUE(bool(tokenizer)) << tokenizer.error().text;
  EXPECT_EQ(encode(*tokenizer, "abba"), (std::vector<TokenId>{2, 1, 0}));
}

TEST(TokenizerErrors, Files) {
  Expected<Tokenizer> missing = Tokenizer::load("/nonexistent/tokenizer.json");
  ASSERT_FALSE(bool(missing));
  EXPECT_EQ(missing.error().text, "cannot open '/nonexistent/tokenizer.json': No such file or directory");
  Expected<std::string> directory = readFile(summarizerPath(""), 100);
  ASSERT_FALSE(bool(directory));
  EXPECT_EQ(directory.error().text, "'" + summarizerPath("") + "' is a directory");
  Expected<std::string> large = readFile(fixturePath("small.json"), 100);
  ASSERT_FALSE(bool(large));
  EXPECT_EQ(large.error().text, "'" + fixturePath("small.json") + "' has more than 100 bytes, which is the limit");
}

TEST(TokenizerErrors, Json) {
  EXPECT_EQ(errorOfText(""), "T: not valid json at byte 1");
  EXPECT_EQ(errorOfText("{\"model\": "), "T: not valid json at byte 11");
  EXPECT_EQ(errorOfText("{\"a\": \"\xff\"}"), "T: not valid json at byte 8");
  EXPECT_EQ(errorOfText("{\"a\": 1e999}"), "T: cannot be parsed as json");
  EXPECT_EQ(errorOfText("[]"), "T: expected an object, got an array");
  EXPECT_EQ(errorOfText(std::string(65, '[')), "T: nested deeper than 64 levels");
  EXPECT_EQ(errorOfText(std::string(10000000, '[')), "T: nested deeper than 64 levels");
  EXPECT_EQ(errorOfText("{}"), "T: model: null is not supported; supported: BPE, Unigram, WordLevel, WordPiece");
  EXPECT_EQ(errorWith("/version", "\"2.0\""), "T: version: expected '1.0'");
}

TEST(TokenizerErrors, PartsAreNamed) {
  const char normalizers[] =
      "null, BertNormalizer, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, Prepend, Replace, "
      "Sequence, Strip, StripAccents";
  const char preTokenizers[] = "null, BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, Metaspace, Punctuation, "
                               "Sequence, Split, Whitespace, WhitespaceSplit";
  const char models[] = "BPE, Unigram, WordLevel, WordPiece";
  const char processors[] = "null, BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing";
  const char decoders[] =
      "null, BPEDecoder, ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, Strip, WordPiece";
  auto notSupported = [](const char *place, const char *kind, const char *supported) {
    return std::string("T: ") + place + ": " + kind + " is not supported; supported: " + supported;
  };
  EXPECT_EQ(errorWith("/model/type", "\"CharBPE\""), notSupported("model", "'CharBPE'", models));
  EXPECT_EQ(errorWith("/model/type", "7"), "T: model.type: expected a string, got another number");
  EXPECT_EQ(errorWith("/model", "\"BPE\""), "T: model: expected an object, got a string");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "NFX"})"), notSupported("normalizer", "'NFX'", normalizers));
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "x"}]})"),
            notSupported("normalizer.normalizers[1]", "'x'", normalizers));
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "UnicodeScripts"})"),
            notSupported("pre_tokenizer", "'UnicodeScripts'", preTokenizers));
  EXPECT_EQ(errorWith("/post_processor", R"({"type": "x"})"), notSupported("post_processor", "'x'", processors));
  EXPECT_EQ(errorWith("/decoder", R"({"type": "a\nb"})"), notSupported("decoder", "'a\\x0Ab'", decoders));
  EXPECT_EQ(describeSupportedParts("- "), std::string("- normalizer: ") + normalizers +
                                              "\n- pre_tokenizer: " + preTokenizers + "\n- model: " + models +
                                              "\n- post_processor: " + processors + "\n- decoder: " + decoders + "\n");
}

TEST(TokenizerErrors, Sequences) {
  for (auto [part, member] : {std::pair("/normalizer", "normalizers"), std::pair("/pre_tokenizer", "pretokenizers"),
                              std::pair("/post_processor", "processors"), std::pair("/decoder", "decoders")}) {
    std::string place = "T: " + std::string(part).substr(1) + "." + member;
    EXPECT_EQ(errorWith(part, R"({"type": "Sequence"})"), place + ": expected an array, got null");
    EXPECT_EQ(errorWith(part, (R"({"type": "Sequence", ")" + std::string(member) + "\": [null]}").c_str()),
              place + "[0]: expected an object, got null");
    EXPECT_EQ(errorWith(part, (R"({"type": "Sequence", ")" + std::string(member) + "\": []}").c_str()), "no error");
  }
  EXPECT_EQ(errorWith("/decoder", R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]})"),
            "T: decoder.decoders[1]: expected Fuse or Strip after a part that joins all tokens, got 'ByteFallback'");
  std::string deep = R"({"type": "NFC"})";
  for (int i = 0; i < 40; ++i)
    deep = R"({"type": "Sequence", "normalizers": [)" + deep + "]}";
  EXPECT_EQ(errorWith("/normalizer", deep.c_str()), "T: nested deeper than 64 levels");
}

TEST(TokenizerErrors, Normalizers) {
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "BertNormalizer", "lowercase": 1})"),
            "T: normalizer.lowercase: expected a boolean, got another number");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "BertNormalizer", "clean_text": "x"})"),
            "T: normalizer.clean_text: expected a boolean, got a string");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Strip", "strip_left": 1})"),
            "T: normalizer.strip_left: expected a boolean, got another number");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Prepend"})"), "T: normalizer.prepend: expected a string, got null");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Replace", "content": ""})"),
            "T: normalizer.pattern: expected an object, got null");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Replace", "pattern": {}, "content": ""})"),
            "T: normalizer.pattern: expected an object with 'String' or 'Regex'");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})"),
            "T: normalizer.pattern.String: expected at least one character");
  EXPECT_EQ(errorWith("/normalizer", R"x({"type": "Replace", "pattern": {"Regex": "a)"}, "content": ""})x"),
            "T: normalizer.pattern.Regex: regular expression 'a)': unmatched closing parenthesis at byte 1");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Replace", "pattern": {"String": "a"}})"),
            "T: normalizer.content: expected a string, got null");
  EXPECT_EQ(errorWith("/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "?"})"),
            "T: normalizer.precompiled_charsmap: expected base64");
  for (const char *map : {"AAA=", "AAAAAA==", "BQAAAAAA", "CAAAAAAAAAA=", "BAAAAAAAAAD/"}) // sizes; no UTF-8
    EXPECT_NE(errorWith("/normalizer",
                        ("{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"" + std::string(map) + "\"}").c_str())
                  .find("T: normalizer.precompiled_charsmap: expected the rules of SentencePiece, got "),
              std::string::npos)
        << map;
}

TEST(TokenizerErrors, PreTokenizers) {
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "Digits", "individual_digits": 1})"),
            "T: pre_tokenizer.individual_digits: expected a boolean, got another number");
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "Punctuation", "behavior": "Kept"})"),
            "T: pre_tokenizer.behavior: expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, "
            "got 'Kept'");
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "Split", "pattern": {"String": "a"}})"),
            "T: pre_tokenizer.behavior: expected a string, got null");
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "CharDelimiterSplit", "delimiter": "ab"})"),
            "T: pre_tokenizer.delimiter: expected one character, got 'ab'");
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "Metaspace", "replacement": ""})"),
            "T: pre_tokenizer.replacement: expected one character, got ''");
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})"),
            "T: pre_tokenizer.prepend_scheme: expected always, first or never, got 'last'");
  EXPECT_EQ(errorWith("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false})"),
            "T: pre_tokenizer.add_prefix_space: expected true, because prepend_scheme is not never");
}

TEST(TokenizerErrors, ModelsAndDecoders) {
  EXPECT_EQ(errorWith("/model", R"({"type": "WordPiece", "vocab": {"a": 0}})"),
            "T: model.unk_token: expected a string, got null");
  EXPECT_EQ(errorWith("/model", R"({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"})"),
            "T: model.unk_token: '?' is not in the vocabulary");
  EXPECT_EQ(errorWith("/model", R"({"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a",
                                    "max_input_chars_per_word": -1})"),
            "T: model.max_input_chars_per_word: expected an integer of 0 to 2147483647, got another number");
  EXPECT_EQ(errorWith("/model", R"({"type": "Unigram", "vocab": {}})"),
            "T: model.vocab: expected an array, got an object");
  for (const char *entry : {"3", "[]", R"(["a"])", R"(["a", "b"])", R"([1, 2])", R"(["a", 1, 2])"})
    EXPECT_EQ(errorWith("/model", (R"({"type": "Unigram", "vocab": [)" + std::string(entry) + "]}").c_str()),
              "T: model.vocab[0]: expected a token and its log probability, as [\"a\", -1.5]");
  EXPECT_EQ(errorWith("/model", R"({"type": "Unigram", "vocab": [["a", 0]], "unk_id": 1})"),
            "T: model.unk_id: expected an id below 1, got 1");
  EXPECT_EQ(errorWith("/post_processor", R"({"type": "BertProcessing", "cls": ["a", 1]})"),
            "T: post_processor.sep: expected an array, got null");
  EXPECT_EQ(errorWith("/post_processor", R"({"type": "RobertaProcessing", "cls": ["a"]})"),
            "T: post_processor.cls: expected a token and its id");
  EXPECT_EQ(errorWith("/decoder", R"({"type": "BPEDecoder", "suffix": ""})"),
            "T: decoder.suffix: expected at least one character");
  EXPECT_EQ(errorWith("/decoder", R"({"type": "WordPiece"})"), "T: decoder.prefix: expected a string, got null");
  EXPECT_EQ(errorWith("/decoder", R"({"type": "Strip", "content": "  ", "start": 1, "stop": 0})"),
            "T: decoder.content: expected one character, got '  '");
  EXPECT_EQ(errorWith("/decoder", R"({"type": "Strip", "content": " ", "start": 1})"),
            "T: decoder.stop: expected an integer of 0 to 2147483647, got null");

  Expected<Tokenizer> noUnknown = Tokenizer::parse(R"({"model": {"type": "Unigram", "vocab": [["a", 0]]}})", "T");
  ASSERT_TRUE(bool(noUnknown));
  Expected<std::vector<TokenId>> ids = noUnknown->encode("aba");
  ASSERT_FALSE(bool(ids));
  EXPECT_EQ(ids.error().text, "'b' is not in the vocabulary, and the tokenizer has no unknown token");
}

TEST(TokenizerErrors, Options) {
  EXPECT_EQ(errorWith("/model/dropout", "0.1"), "T: model.dropout: dropout is not supported; expected null");
  EXPECT_EQ(errorWith("/model/dropout", "0.0"), "no error");
  EXPECT_EQ(errorWith("/model/end_of_word_suffix", "7"),
            "T: model.end_of_word_suffix: expected a string, got another number");
  EXPECT_EQ(errorWith("/model/continuing_subword_prefix", "\"##\""),
            "T: model.merges[0]: token 'b' is shorter than continuing_subword_prefix");
  EXPECT_EQ(errorWith("/model/byte_fallback", "1"), "T: model.byte_fallback: expected a boolean, got another number");
  EXPECT_EQ(errorWith("/model/fuse_unk", "1"), "T: model.fuse_unk: expected a boolean, got another number");
  EXPECT_EQ(errorWith("/model/ignore_merges", "\"no\""), "T: model.ignore_merges: expected a boolean, got a string");
  EXPECT_EQ(errorWith("/pre_tokenizer/add_prefix_space", "0"),
            "T: pre_tokenizer.add_prefix_space: expected a boolean, got another number");
  EXPECT_EQ(errorWith("/pre_tokenizer/use_regex", "{}"),
            "T: pre_tokenizer.use_regex: expected a boolean, got an object");
}

TEST(TokenizerErrors, Vocabulary) {
  EXPECT_EQ(errorWith("/model/vocab", "[]"), "T: model.vocab: expected an object, got an array");
  EXPECT_EQ(errorWith("/model/vocab/a", "\"x\""),
            "T: model.vocab: 'a': expected an integer of 0 to 2147483647, got a string");
  for (const char *id : {"-1", "2147483648", "0.5", "99999999999999999999"})
    EXPECT_EQ(errorWith("/model/vocab/a", id),
              "T: model.vocab: 'a': expected an integer of 0 to 2147483647, got another number");
  EXPECT_EQ(errorWith("/model/vocab/c", "0"), "T: model.vocab: tokens 'a' and 'c' both have id 0");
  EXPECT_EQ(errorWith("/model/unk_token", "\"<unk>\""), "T: model.unk_token: '<unk>' is not in the vocabulary");
  EXPECT_EQ(errorWith("/model/unk_token", "3"), "T: model.unk_token: expected a string, got another number");
  EXPECT_EQ(errorWith("/model/vocab/a", "2147483647"), "no error");
}

TEST(TokenizerErrors, Merges) {
  EXPECT_EQ(errorWith("/model/merges", "null"), "T: model.merges: expected an array, got null");
  EXPECT_EQ(errorWith("/model/merges/0", R"(["a", "c"])"), "T: model.merges[0]: token 'c' is not in the vocabulary");
  EXPECT_EQ(errorWith("/model/merges/0", R"("b a")"), "T: model.merges[0]: token 'ba' is not in the vocabulary");
  for (const char *merge : {R"(["a"])", R"(["a", 1])", R"(["a", "b", "c"])"})
    EXPECT_EQ(errorWith("/model/merges/0", merge),
              "T: model.merges[0]: expected two tokens, as 'a b' or [\"a\", \"b\"], got an array");
  EXPECT_EQ(errorWith("/model/merges/0", R"("ab")"),
            "T: model.merges[0]: expected two tokens with one space between them, got 'ab'");
  EXPECT_EQ(errorWith("/model/merges/0", R"("a b ab")"),
            "T: model.merges[0]: expected two tokens with one space between them, got 'a b ab'");
}

TEST(TokenizerErrors, AddedTokens) {
  auto with = [](const char *token) { return errorWith("/added_tokens", (std::string("[") + token + "]").c_str()); };
  EXPECT_EQ(errorWith("/added_tokens", "{}"), "T: added_tokens: expected an array, got an object");
  EXPECT_EQ(with("7"), "T: added_tokens[0]: expected an object, got another number");
  EXPECT_EQ(with(R"({"content": "x"})"), "T: added_tokens[0].id: expected an integer of 0 to 2147483647, got null");
  EXPECT_EQ(with(R"({"id": 3})"), "T: added_tokens[0].content: expected a string, got null");
  EXPECT_EQ(with(R"({"id": 3, "content": "x", "lstrip": 1})"),
            "T: added_tokens[0].lstrip: expected a boolean, got another number");
  EXPECT_EQ(with(R"({"id": 3, "content": "a"})"), "T: added_tokens[0]: 'a' has id 3, but 0 in the vocabulary");
  EXPECT_EQ(with(R"({"id": 0, "content": "x"})"), "T: added_tokens[0]: 'x' has id 0, which is 'a' in the vocabulary");
  EXPECT_EQ(with(R"({"id": 3, "content": "x"}, {"id": 3, "content": "y"})"),
            "T: added_tokens[1]: 'x' and 'y' both have id 3");
  EXPECT_EQ(with(R"({"id": 3, "content": "x"}, {"id": 4, "content": "x"})"), "T: added_tokens[1]: 'x' is listed twice");
  EXPECT_EQ(with((R"({"id": 3, "content": ")" + std::string(513, 'x') + "\"}").c_str()),
            "T: added_tokens[0].content: has 513 bytes, at most 512 are supported");
  EXPECT_EQ(with(R"({"id": 3, "content": ""})"), "no error");
}

TEST(TokenizerErrors, TemplateProcessing) {
  auto with = [](const char *single) {
    return errorWith("/post_processor", (std::string(R"({"type": "TemplateProcessing", "single": )") + single +
                                         R"(, "special_tokens": {"s": {"ids": [0]}, "t": {"ids": ["x"]}, "u": {}}})")
                                            .c_str());
  };
  EXPECT_EQ(with(R"([{"SpecialToken": {"id": "s"}}, {"Sequence": {"id": "A"}}])"), "no error");
  EXPECT_EQ(with("null"), "T: post_processor.single: expected an array, got null");
  EXPECT_EQ(with("[3]"), "T: post_processor.single[0]: expected an object with 'Sequence' or 'SpecialToken'");
  EXPECT_EQ(with(R"([{"Sequence": {"id": "B"}}])"),
            "T: post_processor.single[0].Sequence.id: expected 'A' in the template of a single text, got 'B'");
  EXPECT_EQ(with(R"([{"Sequence": {}}])"), "T: post_processor.single[0].Sequence.id: expected a string, got null");
  EXPECT_EQ(with(R"([{"SpecialToken": {}}])"),
            "T: post_processor.single[0].SpecialToken.id: expected a string, got null");
  EXPECT_EQ(with(R"([{"SpecialToken": {"id": "x"}}])"),
            "T: post_processor.single[0].SpecialToken: 'x' is not in special_tokens");
  EXPECT_EQ(with(R"([{"SpecialToken": {"id": "u"}}])"),
            "T: post_processor.special_tokens.u.ids: expected an array, got null");
  EXPECT_EQ(with(R"([{"SpecialToken": {"id": "t"}}])"),
            "T: post_processor.special_tokens.t.ids[0]: expected an integer of 0 to 2147483647, got a string");
}

TEST(TokenizerErrors, Regex) {
  Expected<Regex> regex = Regex::compile("a(b");
  ASSERT_FALSE(bool(regex));
  EXPECT_EQ(regex.error().text, "regular expression 'a(b': missing closing parenthesis at byte 3");
}

/// Damaged files are refused or work; they never crash.
TEST(TokenizerErrors, CorruptFiles) {
  std::string small = contentOf(fixturePath("small.json"));
  json parsed = json::parse(small);
  for (size_t length = 0; length < small.size(); length += 7)
    EXPECT_NE(errorOfText(std::string_view(small).substr(0, length)), "no error");
  std::mt19937 random(3);
  for (int round = 0; round < 1500; ++round) {
    std::string damaged = small;
    for (unsigned n = 1 + random() % 3; n > 0; --n)
      damaged[random() % damaged.size()] = static_cast<char>(random() % 3 ? "[]{}:,\"0 \\"[random() % 10] : random());
    Expected<Tokenizer> tokenizer = Tokenizer::parse(damaged, "T");
    if (tokenizer)
      (void)encode(*tokenizer, "the in the \xf0\x9f\x99\x82 <m>");
  }
  // Every member replaced by a value of each other kind.
  json flat = parsed.flatten();
  for (const char *value : {"null", "true", "-1", "\"x\"", "[]", "{}", "[[]]", R"({"type": "ByteLevel"})"}) {
    std::vector<json::json_pointer> places;
    for (const auto &[pointer, unused] : flat.items()) {
      for (json::json_pointer p(pointer); !p.empty(); p.pop_back())
        if (pointer.find("/vocab/") == std::string::npos && pointer.find("/merges/") == std::string::npos)
          places.push_back(p);
    }
    for (const json::json_pointer &place : places) {
      json content = parsed;
      content[place] = json::parse(value);
      (void)errorOfText(content.dump());
    }
  }
}
