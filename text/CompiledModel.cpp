//===- CompiledModel.cpp - Steps of a compiled model file ------------------------------------------------===//

#include "CompiledModel.h"

#include "Json.h"
#include "ModelEntry.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace attn::text {

namespace {

/// An entry and where its token ids and logits are.
struct TokenEntry {
  uint32_t number = 0;
  const attn_entry *entry = nullptr;
  uint32_t ids = 0, article = 0, logits = 0; ///< indices into the entry's inputs and outputs
  bool hasArticle = false;                   ///< forward of an encoder–decoder
  int64_t maxTokens = 0, maxArticle = 0;     ///< bounds of `seq` and of the article's
  int64_t maxBatch = 0;
  int64_t vocabulary = 0; ///< 0: no logits (encode)
};

/// What both kinds of model share: a session, and one call with ids in and logits out.
class EntryRunner {
public:
  Status create(const attn_library *library, const attn_model *model, const attn_host *host);
  /// Runs on ids [batch, n]; logits has room for [batch, vocab] (rank 2) or [batch, n, vocab] (rank 3). slots: [batch]
  /// or null. article: of the one row, where the entry takes it.
  Status run(const TokenEntry &entry, const TokenId *ids, int64_t batch, int64_t n, float *logits, attn_state *state,
             const int32_t *slots, const std::vector<TokenId> *article = nullptr);

private:
  OwnedSession session;
};

class CachedModel : public StepModel {
public:
  ~CachedModel() override { attn_state_free(host, &state); }
  static Expected<std::unique_ptr<StepModel>> create(const attn_library *library, const attn_model *model,
                                                     const attn_host *host);

  int64_t contextLength() const override { return prefillEntry.maxTokens; }
  int64_t vocabularySize() const override { return prefillEntry.vocabulary; }
  int64_t encoderLength() const override { return encodeEntry.maxTokens; }
  Status start(int32_t slots, int64_t capacity) override;
  Status encode(int32_t slot, const std::vector<TokenId> &ids) override;
  Expected<const float *> append(const std::vector<int32_t> &slots, const std::vector<TokenId> &ids) override;
  int64_t verifyLength() const override { return verifyEntry.maxTokens; }
  Expected<const float *> verify(int32_t slot, const std::vector<TokenId> &ids) override;
  Status fork(int32_t slot, int32_t of) override { return change(ATTN_STATE_FORK, slot, of); }
  Status truncate(int32_t slot, int64_t tokens) override { return change(ATTN_STATE_TRUNCATE, slot, tokens); }
  Status clear(int32_t slot) override {
    return encoderLength() ? change(ATTN_STATE_CLEAR, slot, 0) : truncate(slot, 0);
  }

private:
  Status change(attn_state_verb verb, int32_t slot, int64_t value);

  const attn_library *library = nullptr;
  const attn_model *model = nullptr;
  const attn_host *host = nullptr;
  EntryRunner runner;
  TokenEntry prefillEntry, decodeEntry;
  TokenEntry encodeEntry, verifyEntry; ///< maxTokens is 0 where the model has none
  attn_state_memory state = {};
  int32_t slots = 0;    ///< of the state
  int64_t capacity = 0; ///< of each, in tokens
  std::vector<float> logits; ///< [rows, vocab]
};

class UncachedModel : public StepModel {
public:
  static Expected<std::unique_ptr<StepModel>> create(const attn_library *library, const attn_model *model,
                                                     const attn_host *host);

  int64_t contextLength() const override { return entry.maxTokens; }
  int64_t vocabularySize() const override { return entry.vocabulary; }
  int64_t encoderLength() const override { return entry.maxArticle; }
  Status start(int32_t slots, int64_t) override {
    sequences.assign(static_cast<size_t>(slots), {});
    return {};
  }
  Status encode(int32_t slot, const std::vector<TokenId> &ids) override {
    sequences[static_cast<size_t>(slot)].article = ids;
    return {};
  }
  Expected<const float *> append(const std::vector<int32_t> &slots, const std::vector<TokenId> &ids) override;
  Status fork(int32_t slot, int32_t of) override {
    sequences[static_cast<size_t>(slot)] = sequences[static_cast<size_t>(of)];
    return {};
  }
  Status truncate(int32_t slot, int64_t tokens) override {
    sequences[static_cast<size_t>(slot)].ids.resize(static_cast<size_t>(tokens));
    return {};
  }
  Status clear(int32_t slot) override {
    sequences[static_cast<size_t>(slot)] = {};
    return {};
  }

private:
  struct Sequence {
    std::vector<TokenId> article, ids;
  };

  EntryRunner runner;
  TokenEntry entry;
  std::vector<Sequence> sequences;
  std::vector<float> whole, logits; ///< [tokens or more, vocab]; [rows, vocab]
};

} // namespace

/// Checks an entry against the contract in CompiledModel.h. logitsRank 0: it needs none. With an encoder the sequence is
/// decoder_input_ids, but for encode itself.
static Expected<TokenEntry> findEntry(const attn_library *library, const char *name, int logitsRank, bool usesState,
                                      bool hasEncoder) {
  Expected<uint32_t> number = findEntryNumber(library, name);
  if (!number)
    return number.error();
  std::string where = "entry " + inQuotes(name);
  TokenEntry result;
  result.number = *number;
  const attn_entry *entry = result.entry = attn_library_entry(library, result.number);

  const char *idsName = hasEncoder && logitsRank ? "decoder_input_ids" : "input_ids";
  Expected<uint32_t> ids = findIds(entry, idsName, where);
  if (!ids)
    return ids.error();
  result.ids = *ids;
  result.maxBatch = upperBound(*entry, entry->in[*ids], 0);
  result.maxTokens = upperBound(*entry, entry->in[*ids], 1);
  result.hasArticle = hasEncoder && logitsRank && !usesState;
  if (result.hasArticle) {
    Expected<uint32_t> article = findIds(entry, "input_ids", where);
    if (!article)
      return article.error();
    result.article = *article;
    result.maxArticle = upperBound(*entry, entry->in[*article], 1);
  }
  if (logitsRank) {
    Expected<uint32_t> logits = findTensor(entry->out, entry->n_out, "logits", where);
    if (!logits)
      return logits.error();
    result.logits = *logits;
    const attn_tensor_info &out = entry->out[*logits];
    if (out.dtype.code != kDLFloat || out.dtype.bits != 32 || out.dtype.lanes != 1 || out.rank != logitsRank)
      return Error{where + ": expected logits of type float32 and rank " + std::to_string(logitsRank) + ", got " +
                   attn_dtype_name(out.dtype) + " and rank " + std::to_string(out.rank)};
    result.vocabulary = out.dims[logitsRank - 1];
    if (result.vocabulary <= 0)
      return Error{where + ": expected a fixed vocabulary, the last dimension of logits"};
  }
  for (uint32_t i = 0; i < entry->n_in; ++i)
    if (i != result.ids && !(result.hasArticle && i == result.article) &&
        !(entry->in[i].flags & ATTN_TENSOR_OPTIONAL))
      return Error{where + ": input " + inQuotes(entry->in[i].name) + " is required, only " +
                   (result.hasArticle ? "input_ids and " : "") + idsName +
                   (result.hasArticle ? " are given" : " is given")};
  if (usesState != (entry->uses_state != 0))
    return Error{where + (usesState ? " does not use a state" : " needs a state")};
  return result;
}

Status EntryRunner::create(const attn_library *library, const attn_model *model, const attn_host *host) {
  Expected<OwnedSession> made = createSession(library, model, host);
  if (!made)
    return made.error();
  session = std::move(*made);
  return {};
}

Status EntryRunner::run(const TokenEntry &entry, const TokenId *ids, int64_t batch, int64_t n, float *logits,
                        attn_state *state, const int32_t *slots, const std::vector<TokenId> *article) {
  const attn_entry &info = *entry.entry;
  std::vector<const DLTensor *> inputs(info.n_in, nullptr);
  std::vector<DLTensor *> outputs(info.n_out, nullptr);
  DenseTensor idsTensor(ids, info.in[entry.ids], batch, n);
  inputs[entry.ids] = &idsTensor.tensor;
  std::optional<DenseTensor> articleTensor, logitsTensor;
  if (entry.hasArticle) {
    articleTensor.emplace(article->data(), info.in[entry.article], 1, static_cast<int64_t>(article->size()));
    inputs[entry.article] = &articleTensor->tensor;
  }
  if (entry.vocabulary) {
    const attn_tensor_info &out = info.out[entry.logits];
    logitsTensor.emplace(logits, out, batch, out.rank == 3 ? n : entry.vocabulary, out.rank == 3 ? entry.vocabulary : 1);
    outputs[entry.logits] = &logitsTensor->tensor;
  }

  attn_call call = {};
  call.size = sizeof call;
  call.n_in = info.n_in;
  call.n_out = info.n_out;
  call.in = inputs.data();
  call.out = outputs.data();
  call.state = state;
  call.slots = slots;
  attn_error error = emptyError();
  if (attn_session_run(session.get(), entry.number, &call, &error) != ATTN_OK)
    return errorOf(error);
  return {};
}

Expected<std::unique_ptr<StepModel>> CachedModel::create(const attn_library *library, const attn_model *model,
                                                         const attn_host *host) {
  auto result = std::make_unique<CachedModel>();
  bool hasEncoder = attn_library_find(library, "encode") >= 0;
  if (hasEncoder) {
    Expected<TokenEntry> encode = findEntry(library, "encode", 0, /*usesState=*/true, hasEncoder);
    if (!encode)
      return encode.error();
    result->encodeEntry = *encode;
  }
  Expected<TokenEntry> prefill = findEntry(library, "prefill", 2, /*usesState=*/true, hasEncoder);
  if (!prefill)
    return prefill.error();
  Expected<TokenEntry> decode = findEntry(library, "decode", 2, /*usesState=*/true, hasEncoder);
  if (!decode)
    return decode.error();
  if (attn_library_find(library, "verify") >= 0) {
    Expected<TokenEntry> verify = findEntry(library, "verify", 3, /*usesState=*/true, hasEncoder);
    if (!verify)
      return verify.error();
    if (verify->vocabulary == prefill->vocabulary)
      result->verifyEntry = *verify;
  }
  if (prefill->vocabulary != decode->vocabulary)
    return Error{"entries 'prefill' and 'decode' differ in vocabulary: " + std::to_string(prefill->vocabulary) +
                 " and " + std::to_string(decode->vocabulary)};
  if (Status status = result->runner.create(library, model, host); !status)
    return status.error();
  result->library = library;
  result->model = model;
  result->host = host;
  result->prefillEntry = *prefill;
  result->decodeEntry = *decode;
  return std::unique_ptr<StepModel>(std::move(result));
}

Status CachedModel::change(attn_state_verb verb, int32_t slot, int64_t value) {
  attn_error error = emptyError();
  int64_t unused = 0;
  if (library->state_op(model, state.state, verb, static_cast<uint32_t>(slot), value, &unused, &error) != ATTN_OK)
    return errorOf(error);
  return {};
}

Status CachedModel::start(int32_t wantedSlots, int64_t tokens) {
  attn_error error = emptyError();
  if (state.state && wantedSlots <= slots && tokens <= capacity) {
    for (int32_t slot = 0; slot < wantedSlots; ++slot)
      if (Status status = clear(slot); !status)
        return status;
    return {};
  }
  attn_state_free(host, &state);
  capacity = slots = 0;
  if (attn_state_create(library, model, host, static_cast<uint32_t>(wantedSlots), static_cast<uint64_t>(tokens),
                        /*page=*/0, &state, &error) != ATTN_OK)
    return errorOf(error);
  capacity = tokens;
  slots = wantedSlots;
  return {};
}

Status CachedModel::encode(int32_t slot, const std::vector<TokenId> &ids) {
  return runner.run(encodeEntry, ids.data(), 1, static_cast<int64_t>(ids.size()), nullptr, state.state, &slot);
}

Expected<const float *> CachedModel::append(const std::vector<int32_t> &rows, const std::vector<TokenId> &ids) {
  int64_t batch = static_cast<int64_t>(rows.size()), n = static_cast<int64_t>(ids.size()) / batch;
  size_t vocabulary = static_cast<size_t>(prefillEntry.vocabulary);
  if (logits.size() < rows.size() * vocabulary)
    logits.resize(rows.size() * vocabulary);
  const TokenEntry &entry = n == 1 ? decodeEntry : prefillEntry;
  // In pieces: memory for activations stays bounded, and the cache makes the bits the same.
  constexpr int64_t kPiece = 1024;
  int64_t most = n == 1 ? entry.maxBatch : 1;
  for (int64_t row = 0; row < batch; row += most)
    for (int64_t at = 0; at < n; at += kPiece)
      if (Status status = runner.run(entry, ids.data() + row * n + at, std::min(most, batch - row), std::min(kPiece, n - at),
                                     logits.data() + static_cast<size_t>(row) * vocabulary, state.state, &rows[static_cast<size_t>(row)]);
          !status)
        return status.error();
  return logits.data();
}

Expected<const float *> CachedModel::verify(int32_t slot, const std::vector<TokenId> &ids) {
  size_t needed = ids.size() * static_cast<size_t>(verifyEntry.vocabulary);
  if (logits.size() < needed)
    logits.resize(needed);
  if (Status status = runner.run(verifyEntry, ids.data(), 1, static_cast<int64_t>(ids.size()), logits.data(), state.state, &slot);
      !status)
    return status.error();
  return logits.data();
}

Expected<std::unique_ptr<StepModel>> UncachedModel::create(const attn_library *library, const attn_model *model,
                                                           const attn_host *host) {
  auto result = std::make_unique<UncachedModel>();
  // Row i of such logits is what follows the tokens before i, so the last row is not the next token's.
  int64_t shifted = 0;
  if (attn_json_int(library->json, "shift_right", &shifted) && shifted)
    return Error{"entry 'forward' shifts its input to the right (metadata shift_right): expected to run with a cache"};
  bool hasEncoder = attn_library_find(library, "encode") >= 0;
  Expected<TokenEntry> forward = findEntry(library, "forward", 3, /*usesState=*/false, hasEncoder);
  if (!forward)
    return forward.error();
  if (Status status = result->runner.create(library, model, host); !status)
    return status.error();
  result->entry = *forward;
  return std::unique_ptr<StepModel>(std::move(result));
}

Expected<const float *> UncachedModel::append(const std::vector<int32_t> &rows, const std::vector<TokenId> &ids) {
  size_t vocabulary = static_cast<size_t>(entry.vocabulary), n = ids.size() / rows.size();
  if (logits.size() < rows.size() * vocabulary)
    logits.resize(rows.size() * vocabulary);
  for (size_t row = 0; row < rows.size(); ++row) {
    Sequence &sequence = sequences[static_cast<size_t>(rows[row])];
    auto begin = ids.begin() + static_cast<ptrdiff_t>(row * n);
    sequence.ids.insert(sequence.ids.end(), begin, begin + static_cast<ptrdiff_t>(n));
    size_t tokens = sequence.ids.size();
    if (tokens > std::numeric_limits<size_t>::max() / sizeof(float) / vocabulary)
      return Error{"logits of " + std::to_string(tokens) + " tokens do not fit memory"};
    // Room for twice as many, so that one token more does not copy; the old logits need not be kept.
    if (whole.size() < tokens * vocabulary) {
      whole = {};
      whole.resize(std::min(2 * tokens, std::max(tokens, static_cast<size_t>(contextLength()))) * vocabulary);
    }
    if (Status status = runner.run(entry, sequence.ids.data(), 1, static_cast<int64_t>(tokens), whole.data(), nullptr,
                                   nullptr, &sequence.article);
        !status)
      return status.error();
    std::copy_n(whole.data() + (tokens - 1) * vocabulary, vocabulary, logits.data() + row * vocabulary);
  }
  return logits.data();
}

Expected<std::unique_ptr<StepModel>> createCachedModel(const attn_library *library, const attn_model *model,
                                                       const attn_host *host) {
  return CachedModel::create(library, model, host);
}

Expected<std::unique_ptr<StepModel>> createUncachedModel(const attn_library *library, const attn_model *model,
                                                         const attn_host *host) {
  return UncachedModel::create(library, model, host);
}

} // namespace attn::text
