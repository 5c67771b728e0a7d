//===- GenerationConfig.cpp - How a model wants its text to be generated -----------------------------------===//

#include "GenerationConfig.h"

namespace attn::text {

namespace {

/// Reads settings by name and keeps the first error.
class Reader {
public:
  explicit Reader(const std::vector<JsonRef> &objects) : objects(objects), missing(null, "") {}

  Status take() { return failure; }

  JsonRef find(const char *key) const {
    for (const JsonRef &object : objects)
      if (JsonRef member = object.get(key); !member.isNull())
        return member;
    return missing;
  }

  void number(const char *key, double &value) {
    JsonRef member = find(key);
    if (member.isNull())
      return;
    if (!member->is_number())
      return fail(member.expected("a number"));
    value = member->get<double>();
  }

  void count(const char *key, int64_t &value) {
    if (std::optional<int64_t> read = count(key))
      value = *read;
  }

  std::optional<int64_t> count(const char *key) {
    JsonRef member = find(key);
    if (member.isNull())
      return std::nullopt;
    Expected<int64_t> read = member.id();
    if (read)
      return *read;
    fail(read.error());
    return std::nullopt;
  }

  void boolean(const char *key, bool &value) {
    JsonRef member = find(key);
    if (member.isNull())
      return;
    if (!member->is_boolean())
      return fail(member.expected("true or false"));
    value = member->get<bool>();
  }

  /// A number, or a list of numbers.
  std::vector<TokenId> ids(const char *key) {
    JsonRef member = find(key);
    std::vector<TokenId> result;
    if (member.isNull())
      return result;
    size_t n = member->is_array() ? member->size() : 1;
    for (size_t i = 0; i < n; ++i) {
      Expected<int64_t> id = (member->is_array() ? member.at(i) : member).id();
      if (!id) {
        fail(id.error());
        return {};
      }
      result.push_back(*id);
    }
    return result;
  }

  void fail(Error error) {
    if (failure)
      failure = std::move(error);
  }

private:
  const std::vector<JsonRef> &objects;
  nlohmann::json null;
  JsonRef missing;
  Status failure;
};

} // namespace

static void readEarlyStopping(Reader &reader, EarlyStopping &value) {
  JsonRef member = reader.find("early_stopping");
  if (member.isNull())
    return;
  if (member->is_boolean())
    value = member->get<bool>() ? EarlyStopping::True : EarlyStopping::False;
  else if (member->is_string() && member->get_ref<const std::string &>() == "never")
    value = EarlyStopping::Never;
  else
    reader.fail(member.fail("expected true, false or 'never'"));
}

/// bad_words_ids: a list of lists, of which those of one token are supported. The end of text cannot be one.
static void readBadWords(Reader &reader, const std::vector<TokenId> &eosIds, std::vector<TokenId> &banned) {
  JsonRef list = reader.find("bad_words_ids");
  if (list.isNull())
    return;
  if (Status status = list.expectArray(); !status)
    return reader.fail(status.error());
  for (size_t i = 0; i < list->size(); ++i) {
    JsonRef word = list.at(i);
    if (Status status = word.expectArray(); !status)
      return reader.fail(status.error());
    if (word->size() != 1)
      return reader.fail(word.fail("expected one token, got " + std::to_string(word->size())));
    Expected<int64_t> id = word.at(0).id();
    if (!id)
      return reader.fail(id.error());
    if (eosIds != std::vector<TokenId>{*id})
      banned.push_back(*id);
  }
}

Expected<GenerationConfig> GenerationConfig::read(const std::vector<JsonRef> &objects) {
  Reader reader(objects);
  // Settings that would change the text, and the value at which they do not.
  const std::pair<const char *, double> unsupported[] = {
      {"num_beam_groups", 1}, {"diversity_penalty", 0},          {"typical_p", 1},
      {"epsilon_cutoff", 0},  {"eta_cutoff", 0},                 {"penalty_alpha", 0},
      {"guidance_scale", 1},  {"encoder_no_repeat_ngram_size", 0}, {"encoder_repetition_penalty", 1}};
  for (auto [key, neutral] : unsupported) {
    double value = neutral;
    reader.number(key, value);
    if (value != neutral)
      reader.fail(reader.find(key).fail("not supported"));
  }
  for (const char *key : {"sequence_bias", "exponential_decay_length_penalty", "begin_suppress_tokens"})
    if (JsonRef member = reader.find(key); !member.isNull())
      reader.fail(member.fail("not supported"));

  GenerationConfig result;
  SearchOptions &search = result.options.search;
  LogitsOptions &logits = search.logits;
  search.eosIds = reader.ids("eos_token_id");
  result.options.decoderStart = reader.ids("decoder_start_token_id");
  logits.forcedBosId = reader.count("forced_bos_token_id");
  logits.forcedEosIds = reader.ids("forced_eos_token_id");
  logits.bannedIds = reader.ids("suppress_tokens");
  readBadWords(reader, search.eosIds, logits.bannedIds);
  result.maxNewTokens = reader.count("max_new_tokens");
  result.maxLength = reader.count("max_length");
  reader.count("min_length", logits.minLength);
  reader.count("min_new_tokens", logits.minNewTokens);
  reader.number("repetition_penalty", logits.repetitionPenalty);
  reader.count("no_repeat_ngram_size", logits.noRepeatNgramSize);
  reader.boolean("do_sample", search.sample);
  reader.number("temperature", logits.temperature);
  reader.count("top_k", logits.topK);
  reader.number("top_p", logits.topP);
  reader.number("min_p", logits.minP);
  reader.count("num_beams", search.beams);
  reader.number("length_penalty", search.lengthPenalty);
  readEarlyStopping(reader, search.earlyStopping);
  if (Status status = reader.take(); !status)
    return status.error();
  return result;
}

} // namespace attn::text
