//===- ModelDirectoryTest.cpp - How a model wants to be asked ---------------------------------------------===//

#include "text/ModelDirectory.h"
#include "TemporaryDirectory.h"

using namespace attn::text;

using Ids = std::vector<TokenId>;

TEST(ModelDirectory, SummarizerPrompts) {
  Expected<ModelDirectory> directory = ModelDirectory::load(summarizerPath(""));
  ASSERT_TRUE(bool(directory)) << directory.error().text;
  EXPECT_EQ(directory->eosIds, Ids{1});
  EXPECT_EQ(directory->maxNewTokens, 40);
  for (const nlohmann::json &item : jsonOf(summarizerPath("expected.json"))) {
    Expected<Ids> ids = directory->encodePrompt(item["text"].get<std::string>(), /*useTemplate=*/true, true);
    ASSERT_TRUE(bool(ids));
    EXPECT_EQ(*ids, idsOf(item["prompt_ids"]));
    Ids plain = *directory->encodePrompt(item["text"].get<std::string>(), /*useTemplate=*/false, true);
    EXPECT_EQ(plain.size() + 2, ids->size());
  }
}

/// A directory with the letter tokenizer and the given files; empty: no such file.
static Expected<ModelDirectory> load(const TemporaryDirectory &directory, const char *config,
                                     const char *generation = "") {
  directory.write("tokenizer.json", letterTokenizer());
  if (*config)
    directory.write("config.json", config);
  if (*generation)
    directory.write("generation_config.json", generation);
  return ModelDirectory::load(directory.path());
}

TEST(ModelDirectory, OnlyTheTokenizerIsNeeded) {
  TemporaryDirectory files;
  Expected<ModelDirectory> directory = load(files, "");
  ASSERT_TRUE(bool(directory)) << directory.error().text;
  EXPECT_TRUE(directory->eosIds.empty());
  EXPECT_EQ(directory->maxNewTokens, std::nullopt);
  EXPECT_EQ(*directory->encodePrompt("abc", true, true), (Ids{1, 2, 3}));
}

TEST(ModelDirectory, GenerationConfigComesFirst) {
  TemporaryDirectory files;
  Expected<ModelDirectory> directory =
      load(files, R"({"eos_token_id": 3})", R"({"eos_token_id": [1, 2], "max_new_tokens": 9})");
  EXPECT_EQ(directory->eosIds, (Ids{1, 2}));
  EXPECT_EQ(directory->maxNewTokens, 9);
  directory = load(files, R"({"eos_token_id": 3})", R"({"eos_token_id": null})");
  EXPECT_EQ(directory->eosIds, Ids{3});
}

TEST(ModelDirectory, Template) {
  TemporaryDirectory files;
  Expected<ModelDirectory> directory =
      load(files, R"({"task_specific_params": {"summarization": {"template": ["c", "article", "<eos>"]}}})");
  EXPECT_EQ(*directory->encodePrompt("ab", true, true), (Ids{3, 1, 2, 0}));
  EXPECT_EQ(*directory->encodePrompt("ab", false, true), (Ids{1, 2}));
  EXPECT_EQ(directory->encodePrompt("a\xff", true, true).error().text, "invalid UTF-8 at byte 1");
}

TEST(ModelDirectory, Errors) {
  TemporaryDirectory files;
  auto errorOf = [&](const char *config, const char *generation = "{}") {
    Expected<ModelDirectory> directory = load(files, config, generation);
    std::string text = directory ? "no error" : directory.error().text;
    std::string prefix = files.path() + "/";
    return text.rfind(prefix, 0) == 0 ? text.substr(prefix.size()) : text;
  };
  auto withTemplate = [&](const std::string &list) {
    return errorOf((R"({"task_specific_params": {"summarization": {"template": )" + list + "}}}").c_str());
  };
  const std::string place = "config.json: task_specific_params.summarization.";
  EXPECT_EQ(errorOf("{"), "config.json: not valid json at byte 2");
  EXPECT_EQ(errorOf("[]"), "config.json: expected an object, got an array");
  EXPECT_EQ(errorOf("{}", "3"), "generation_config.json: expected an object, got another number");
  EXPECT_EQ(errorOf(R"({"eos_token_id": "x"})"),
            "config.json: eos_token_id: expected an integer of 0 to 2147483647, got a string");
  EXPECT_EQ(errorOf("{}", R"({"eos_token_id": [1, -1]})"),
            "generation_config.json: eos_token_id[1]: expected an integer of 0 to 2147483647, got another number");
  EXPECT_EQ(errorOf(R"({"task_specific_params": {"summarization": {"max_new_tokens": "many"}}})"),
            place + "max_new_tokens: expected an integer of 0 to 2147483647, got a string");
  EXPECT_EQ(withTemplate("\"article\""), place + "template: expected an array, got a string");
  EXPECT_EQ(withTemplate("[1]"), place + "template[0]: expected a string, got another number");
  EXPECT_EQ(withTemplate(R"(["article", "<sep>"])"),
            place + "template[1]: expected 'article' or a token of the tokenizer, got '<sep>'");
  EXPECT_EQ(withTemplate(R"(["<eos>"])"), place + "template: expected 'article' once, got it 0 times");
  EXPECT_EQ(withTemplate(R"(["article", "article"])"), place + "template: expected 'article' once, got it 2 times");
  EXPECT_EQ(ModelDirectory::load("/nonexistent").error().text,
            "cannot open '/nonexistent/tokenizer.json': No such file or directory");
}
