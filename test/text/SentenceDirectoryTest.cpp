//===- SentenceDirectoryTest.cpp - How sentences become tokens for an embedding ---------------------------===//

#include "text/SentenceDirectory.h"
#include "Fixtures.h"
#include "TemporaryDirectory.h"

using namespace attn::text;

using Ids = std::vector<TokenId>;

namespace {

class SentenceDirectoryTest : public testing::Test {
protected:
  void SetUp() override { files.write("tokenizer.json", letterTokenizer()); }

  Expected<SentenceDirectory> load() { return SentenceDirectory::load(Files(files.path())); }
  /// With the directory's own limit.
  Ids encode(std::string_view text) {
    Expected<SentenceDirectory> directory = load();
    if (!directory) {
      ADD_FAILURE() << directory.error().text;
      return {};
    }
    return directory->encode(text, /*strict=*/true, directory->maxTokens)->ids;
  }
  /// Of a directory with one more file, without its path.
  std::string errorOf(const std::string &name, const char *content) {
    files.write(name, content);
    Expected<SentenceDirectory> directory = load();
    std::filesystem::remove(files.path(name));
    std::string text = directory ? "no error" : directory.error().text, prefix = files.path() + "/";
    return text.rfind(prefix, 0) == 0 ? text.substr(prefix.size()) : text;
  }

  TemporaryDirectory files;
};

} // namespace

TEST_F(SentenceDirectoryTest, OnlyTheTokenizerIsNeeded) {
  Expected<SentenceDirectory> directory = load();
  ASSERT_TRUE(bool(directory)) << directory.error().text;
  EXPECT_EQ(directory->maxTokens, INT64_MAX);
  EXPECT_EQ(directory->prompt, "");
  EXPECT_EQ(encode("abC"), (Ids{1, 2}));
  EXPECT_EQ(encode(""), Ids{});
}

TEST_F(SentenceDirectoryTest, SentencesAreCutAtTheEndOfTheText) {
  nlohmann::json tokenizer = nlohmann::json::parse(letterTokenizer());
  tokenizer["post_processor"] = {{"type", "BertProcessing"}, {"cls", {"n", 14}}, {"sep", {"<eos>", 0}}};
  files.write("tokenizer.json", tokenizer.dump());
  Expected<SentenceDirectory> directory = load();
  Expected<SentenceDirectory::Sentence> sentence = directory->encode("abcd", true, 5);
  EXPECT_EQ(sentence->ids, (Ids{14, 1, 2, 3, 0}));
  EXPECT_TRUE(sentence->cut);
  sentence = directory->encode("abc", true, 5);
  EXPECT_EQ(sentence->ids, (Ids{14, 1, 2, 3, 0}));
  EXPECT_FALSE(sentence->cut);
  EXPECT_EQ(directory->encode("abc", true, 2).error().text, "2 tokens leave no room for the text");
}

TEST_F(SentenceDirectoryTest, MostTokens) {
  files.write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  EXPECT_EQ(load()->maxTokens, INT64_MAX);
  files.write("tokenizer_config.json", R"({"model_max_length": 9})");
  EXPECT_EQ(load()->maxTokens, 9);
  files.write("sentence_xlnet_config.json", R"({"max_seq_length": 7})");
  EXPECT_EQ(load()->maxTokens, 7);
  files.write("sentence_bert_config.json", R"({"max_seq_length": null})");
  EXPECT_EQ(load()->maxTokens, 9);
  files.write("sentence_bert_config.json", R"({"max_seq_length": 5, "tokenizer_args": {"model_max_length": 4}})");
  EXPECT_EQ(load()->maxTokens, 4);
  files.write("sentence_bert_config.json", R"({"max_seq_length": 5, "processor_kwargs": {"model_max_length": 3}})");
  EXPECT_EQ(load()->maxTokens, 3);
  EXPECT_EQ(encode("abcd"), (Ids{1, 2, 3}));
}

TEST_F(SentenceDirectoryTest, Lowercase) {
  files.write("sentence_bert_config.json", R"({"do_lower_case": true})");
  EXPECT_EQ(encode("aBÉC"), (Ids{1, 2, 3})); // é has no token
  // In front of the tokenizer, as in sentence-transformers 6.2 with tokenizers 0.23: added tokens are found before it, or, if
  // they are normalised, as small letters.
  nlohmann::json tokenizer = nlohmann::json::parse(letterTokenizer());
  tokenizer["added_tokens"] = {{{"id", 0}, {"content", "[MASK]"}, {"special", true}, {"normalized", false}},
                               {{"id", 16}, {"content", "ABE"}, {"normalized", true}}};
  const nlohmann::json strip = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}}, lower = {{"type", "Lowercase"}};
  for (const nlohmann::json &normalizer : {nlohmann::json(), strip, lower,
                                           nlohmann::json{{"type", "Sequence"}, {"normalizers", {strip, lower}}}}) {
    tokenizer["normalizer"] = normalizer;
    files.write("tokenizer.json", tokenizer.dump());
    EXPECT_EQ(encode("A[MASK]B[mask]"), (Ids{1, 0, 2, 13, 1, 11})) << normalizer << ": s has no token";
    EXPECT_EQ(encode("cABEabeD"), (Ids{3, 16, 16, 4})) << normalizer;
  }
}

TEST_F(SentenceDirectoryTest, LowercaseBeforeSentencePiece) {
  std::filesystem::remove(files.path("tokenizer.json"));
  std::filesystem::copy(sourcePath("test/fixtures/tokenizer/sentencepiece/spiece.model"),
                        files.path("spiece.model"));
  Ids upper = encode("The Text"), lower = encode("the text");
  EXPECT_NE(upper, lower);
  files.write("sentence_bert_config.json", R"({"do_lower_case": true})");
  EXPECT_EQ(encode("The Text"), lower);
}

TEST_F(SentenceDirectoryTest, TheTransformersFolder) {
  std::filesystem::create_directory(files.path("0_Transformer"));
  std::filesystem::rename(files.path("tokenizer.json"), files.path("0_Transformer/tokenizer.json"));
  files.write("0_Transformer/sentence_bert_config.json", R"({"max_seq_length": 2})");
  files.write("modules.json", R"([{"path": "0_Transformer"}, {"path": "1_Pooling"}])");
  EXPECT_EQ(encode("abc"), (Ids{1, 2}));
}

TEST_F(SentenceDirectoryTest, Prompts) {
  files.write("config_sentence_transformers.json",
              R"({"prompts": {"query": "fa", "passage": "", "none": null}, "default_prompt_name": null})");
  EXPECT_EQ(encode("b"), Ids{2});
  Expected<SentenceDirectory> directory = load();
  ASSERT_TRUE(bool(directory->choosePrompt("query")));
  EXPECT_EQ(directory->encode("b", true, 9)->ids, (Ids{6, 1, 2}));
  EXPECT_EQ(directory->encode("b\xff", true, 9).error().text, "invalid UTF-8 at byte 1") << "of the sentence";
  EXPECT_EQ(directory->encode("b\xff", false, 9)->ids, (Ids{6, 1, 2}));
  ASSERT_TRUE(bool(directory->choosePrompt("passage")));
  EXPECT_EQ(directory->encode("b", true, 9)->ids, Ids{2});
  EXPECT_EQ(directory->choosePrompt("none").error().text, "expected the name of a prompt (passage, query), got 'none'");
  files.write("config_sentence_transformers.json", R"({"prompts": {"query": "fa"}, "default_prompt_name": "query"})");
  EXPECT_EQ(encode("b"), (Ids{6, 1, 2}));
}

TEST_F(SentenceDirectoryTest, Errors) {
  EXPECT_EQ(errorOf("modules.json", "{}"), "modules.json: expected an array, got an object");
  EXPECT_EQ(errorOf("modules.json", "[]"), "modules.json: [0].path: expected a string, got null");
  for (const char *path : {"../x", "/x", "a/../../x"})
    EXPECT_EQ(errorOf("modules.json", (std::string(R"([{"path": ")") + path + "\"}]").c_str()),
              std::string("modules.json: [0].path: expected a folder inside the directory, got '") + path + "'");
  for (const char *length : {"0", "-3", "2.5", "\"long\""})
    EXPECT_EQ(errorOf("sentence_bert_config.json", (std::string(R"({"max_seq_length": )") + length + "}").c_str()),
              "sentence_bert_config.json: max_seq_length: expected a length of at least 1");
  EXPECT_EQ(errorOf("tokenizer_config.json", R"({"model_max_length": 0})"),
            "tokenizer_config.json: model_max_length: expected a length of at least 1");
  EXPECT_EQ(errorOf("sentence_bert_config.json", "3"),
            "sentence_bert_config.json: expected an object, got another number");
  EXPECT_EQ(errorOf("sentence_bert_config.json", R"({"do_lower_case": 1})"),
            "sentence_bert_config.json: do_lower_case: expected a boolean, got another number");
  EXPECT_EQ(errorOf("tokenizer_config.json", "[]"), "tokenizer_config.json: expected an object, got an array");
  EXPECT_EQ(errorOf("tokenizer_config.json", "{"), "tokenizer_config.json: not valid json at byte 2");
  const std::string name = "config_sentence_transformers.json";
  EXPECT_EQ(errorOf(name, "[]"), name + ": expected an object, got an array");
  EXPECT_EQ(errorOf(name, R"({"prompts": ["query"]})"), name + ": prompts: expected an object, got an array");
  EXPECT_EQ(errorOf(name, R"({"prompts": {"query": 1}})"),
            name + ": prompts.query: expected a string, got another number");
  EXPECT_EQ(errorOf(name, R"({"default_prompt_name": 1})"),
            name + ": default_prompt_name: expected a string, got another number");
  EXPECT_EQ(errorOf(name, R"({"default_prompt_name": "query"})"),
            name + ": default_prompt_name: expected the name of a prompt (there is none), got 'query'");
  std::filesystem::remove(files.path("tokenizer.json"));
  EXPECT_EQ(load().error().text, "cannot open '" + files.path("tokenizer.json") + "': No such file or directory");
}
