//===- ModelDirectoryTest.cpp - How a model wants to be asked ---------------------------------------------===//

#include "text/ModelDirectory.h"
#include "TemporaryDirectory.h"

using namespace attn::text;

using Ids = std::vector<TokenId>;

TEST(ModelDirectory, SummarizerPrompts) {
  Expected<ModelDirectory> directory = ModelDirectory::load(Files(summarizerPath("")));
  ASSERT_TRUE(bool(directory)) << directory.error().text;
  EXPECT_EQ(directory->generation.options.search.eosIds, Ids{1});
  EXPECT_EQ(directory->generation.maxNewTokens, 40);
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
  return ModelDirectory::load(Files(directory.path()));
}

TEST(ModelDirectory, OnlyTheTokenizerIsNeeded) {
  TemporaryDirectory files;
  Expected<ModelDirectory> directory = load(files, "");
  ASSERT_TRUE(bool(directory)) << directory.error().text;
  EXPECT_TRUE(directory->generation.options.search.eosIds.empty());
  EXPECT_EQ(directory->generation.maxNewTokens, std::nullopt);
  EXPECT_EQ(*directory->encodePrompt("abc", true, true), (Ids{1, 2, 3}));
}

TEST(ModelDirectory, GenerationConfigComesFirst) {
  TemporaryDirectory files;
  Expected<ModelDirectory> directory =
      load(files, R"({"eos_token_id": 3})", R"({"eos_token_id": [1, 2], "max_new_tokens": 9})");
  EXPECT_EQ(directory->generation.options.search.eosIds, (Ids{1, 2}));
  EXPECT_EQ(directory->generation.maxNewTokens, 9);
  directory = load(files, R"({"eos_token_id": 3})", R"({"eos_token_id": null})");
  EXPECT_EQ(directory->generation.options.search.eosIds, Ids{3});
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
  EXPECT_EQ(ModelDirectory::load(Files("/nonexistent")).error().text,
            "cannot open '/nonexistent/tokenizer.json': No such file or directory");
}

TEST(GenerationConfig, EverySetting) {
  TemporaryDirectory files;
  Expected<ModelDirectory> directory = load(files, R"({"num_beams": 4, "task_specific_params": {"summarization": {
      "prefix": "ab", "length_penalty": 2.0, "max_length": 60}}})",
                                            R"({"num_beams": 3, "length_penalty": 0.5, "early_stopping": "never",
      "decoder_start_token_id": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2, "suppress_tokens": [7],
      "bad_words_ids": [[9], [2]], "eos_token_id": 2, "min_length": 5, "min_new_tokens": 3, "repetition_penalty": 1.25,
      "no_repeat_ngram_size": 3, "do_sample": false, "temperature": 0.5, "top_k": 0, "top_p": 0.75, "min_p": 0.25,
      "typical_p": 1.0, "guidance_scale": null})");
  ASSERT_TRUE(bool(directory)) << directory.error().text;
  const GenerationConfig &config = directory->generation;
  const SearchOptions &search = config.options.search;
  EXPECT_EQ(search.beams, 3) << "generation_config.json comes before config.json";
  EXPECT_EQ(search.lengthPenalty, 2) << "the task comes first";
  EXPECT_EQ(search.earlyStopping, EarlyStopping::Never);
  EXPECT_FALSE(search.sample);
  EXPECT_EQ(config.options.decoderStart, Ids{2});
  const LogitsOptions &logits = search.logits;
  EXPECT_EQ(logits.forcedBosId, 0);
  EXPECT_EQ(logits.forcedEosIds, Ids{2});
  EXPECT_EQ(logits.bannedIds, (Ids{7, 9})) << "the end of text is no bad word";
  EXPECT_EQ(logits.minLength, 5);
  EXPECT_EQ(logits.minNewTokens, 3);
  EXPECT_EQ(logits.repetitionPenalty, 1.25);
  EXPECT_EQ(logits.noRepeatNgramSize, 3);
  EXPECT_EQ(logits.temperature, 0.5);
  EXPECT_EQ(logits.topK, 0);
  EXPECT_EQ(logits.topP, 0.75);
  EXPECT_EQ(logits.minP, 0.25);
  EXPECT_EQ(config.newTokens(10), 50);
  EXPECT_EQ(config.newTokens(70), 1);
  EXPECT_EQ(*directory->encodePrompt("c", true, true), (Ids{1, 2, 3}));
  EXPECT_EQ(*directory->encodePrompt("c", false, true), (Ids{3}));
}

TEST(GenerationConfig, Errors) {
  TemporaryDirectory files;
  auto errorOf = [&](const char *generation) {
    Expected<ModelDirectory> directory = load(files, "", generation);
    std::string text = directory ? "no error" : directory.error().text;
    std::string prefix = files.path() + "/generation_config.json: ";
    return text.rfind(prefix, 0) == 0 ? text.substr(prefix.size()) : text;
  };
  EXPECT_EQ(errorOf(R"({"temperature": "hot"})"), "temperature: expected a number, got a string");
  EXPECT_EQ(errorOf(R"({"do_sample": 1})"), "do_sample: expected true or false, got another number");
  EXPECT_EQ(errorOf(R"({"early_stopping": "no"})"), "early_stopping: expected true, false or 'never'");
  EXPECT_EQ(errorOf(R"({"num_beams": 1.5})"),
            "num_beams: expected an integer of 0 to 2147483647, got another number");
  EXPECT_EQ(errorOf(R"({"bad_words_ids": [[1, 2]]})"), "bad_words_ids[0]: expected one token, got 2");
  EXPECT_EQ(errorOf(R"({"bad_words_ids": [3]})"), "bad_words_ids[0]: expected an array, got another number");
  EXPECT_EQ(errorOf(R"({"typical_p": 0.9})"), "typical_p: not supported");
  EXPECT_EQ(errorOf(R"({"sequence_bias": [[[1], 2.0]]})"), "sequence_bias: not supported");
}

TEST(ModelDirectory, PromptsAreCutAtTheEndOfTheText) {
  TemporaryDirectory files;
  Expected<ModelDirectory> directory =
      load(files, R"({"task_specific_params": {"summarization": {"template": ["c", "article", "<eos>"]}}})");
  EXPECT_EQ(*directory->encodePrompt("abcd", true, true, 5), (Ids{3, 1, 2, 3, 0}));
  EXPECT_EQ(*directory->encodePrompt("ab", true, true, 5), (Ids{3, 1, 2, 0}));
  EXPECT_EQ(*directory->encodePrompt("abcd", false, true, 3), (Ids{1, 2, 3}));
  EXPECT_EQ(directory->encodePrompt("abcd", true, true, 2).error().text, "2 tokens leave no room for the text");
}

TEST(ModelDirectory, WithoutATokenizer) {
  TemporaryDirectory files;
  files.write("generation_config.json", R"({"eos_token_id": 4})");
  Expected<ModelDirectory> directory = ModelDirectory::load(Files(files.path()), /*withTokenizer=*/false);
  ASSERT_TRUE(bool(directory)) << directory.error().text;
  EXPECT_FALSE(directory->tokenizer);
  EXPECT_EQ(directory->generation.options.search.eosIds, Ids{4});
}

TEST(ModelDirectory, MetadataIsTheLastSource) {
  TemporaryDirectory files;
  nlohmann::json content = nlohmann::json::parse(R"({"eos_token_id": [1, 3], "decoder_start_token_id": 2, "name": "lm"})");
  JsonRef metadata(content, "lm.so");
  auto settings = [&] {
    Expected<ModelDirectory> directory = ModelDirectory::load(Files(files.path()), /*withTokenizer=*/false, &metadata);
    return directory ? directory->generation.options : GenerateOptions();
  };
  EXPECT_EQ(settings().search.eosIds, (Ids{1, 3}));
  EXPECT_EQ(settings().decoderStart, Ids{2});
  files.write("config.json", R"({"eos_token_id": 4})");
  EXPECT_EQ(settings().search.eosIds, Ids{4});
  EXPECT_EQ(settings().decoderStart, Ids{2});
  content["decoder_start_token_id"] = "x";
  EXPECT_EQ(ModelDirectory::load(Files(files.path()), false, &metadata).error().text,
            "lm.so: decoder_start_token_id: expected an integer of 0 to 2147483647, got a string");
}
