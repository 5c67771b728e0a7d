//===- CompiledModel.cpp - Steps of a compiled model file ------------------------------------------------===//

#include "CompiledModel.h"

#include "Json.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace attn::text {

namespace {

/// An entry and where its token ids and logits are.
struct TokenEntry {
  uint32_t number = 0;
  const attn_entry *entry = nullptr;
  uint32_t ids = 0, logits = 0; ///< indices into the entry's inputs and outputs
  int64_t maxTokens = 0;        ///< bound of `seq`
  int64_t vocabulary = 0;
};

struct SessionFreer {
  void operator()(attn_session *session) const { attn_session_free(session); }
};

/// What both kinds of model share: a session, and one call with ids in and logits out.
class EntryRunner {
public:
  Status create(const attn_library *library, const attn_model *model, const attn_host *host);
  /// Runs on ids [1, n]; logits has room for [1, vocab] (rank 2) or [1, n, vocab] (rank 3).
  Status run(const TokenEntry &entry, TokenId *ids, int64_t n, float *logits, attn_state *state);

private:
  std::unique_ptr<attn_session, SessionFreer> session;
};

class CachedModel : public StepModel {
public:
  ~CachedModel() override { attn_state_free(host, &state); }
  static Expected<std::unique_ptr<StepModel>> create(const attn_library *library, const attn_model *model,
                                                     const attn_host *host);

  int64_t contextLength() const override { return prefillEntry.maxTokens; }
  int64_t vocabularySize() const override { return prefillEntry.vocabulary; }
  Status start(int64_t tokens) override;
  Expected<const float *> prefill(const std::vector<TokenId> &ids) override;
  Expected<const float *> decode(TokenId id) override;

private:
  const attn_library *library = nullptr;
  const attn_model *model = nullptr;
  const attn_host *host = nullptr;
  EntryRunner runner;
  TokenEntry prefillEntry, decodeEntry;
  attn_state_memory state = {};
  int64_t capacity = 0;       ///< of the state, in tokens
  std::vector<float> logits;  ///< [vocab]
  std::vector<TokenId> input; ///< the ABI takes pointers to mutable data
};

class UncachedModel : public StepModel {
public:
  static Expected<std::unique_ptr<StepModel>> create(const attn_library *library, const attn_model *model,
                                                     const attn_host *host);

  int64_t contextLength() const override { return entry.maxTokens; }
  int64_t vocabularySize() const override { return entry.vocabulary; }
  Status start(int64_t) override {
    sequence.clear();
    return {};
  }
  Expected<const float *> prefill(const std::vector<TokenId> &ids) override;
  Expected<const float *> decode(TokenId id) override { return prefill({id}); }

private:
  EntryRunner runner;
  TokenEntry entry;
  std::vector<TokenId> sequence;
  std::vector<float> logits; ///< [tokens or more, vocab]
};

} // namespace

static Error errorOf(const attn_error &error) { return {error.text}; }

static attn_error emptyError() {
  attn_error error = {};
  error.size = sizeof error;
  return error;
}

/// Upper bound of dimension `d` of a tensor.
static int64_t upperBound(const attn_entry &entry, const attn_tensor_info &info, int d) {
  int64_t dim = info.dims[d];
  return dim >= 0 ? dim : entry.dims[-1 - dim].max;
}

static Expected<uint32_t> findTensor(const attn_tensor_info *infos, uint32_t n, const char *name,
                                     const std::string &where) {
  for (uint32_t i = 0; i < n; ++i)
    if (std::strcmp(infos[i].name, name) == 0)
      return i;
  return Error{where + " has no '" + name + "'"};
}

/// Checks an entry against the contract in CompiledModel.h.
static Expected<TokenEntry> findEntry(const attn_library *library, const char *name, int logitsRank, bool usesState) {
  int64_t number = attn_library_find(library, name);
  if (number < 0) {
    std::string known;
    for (uint32_t i = 0; i < library->n_entries; ++i)
      known += (i ? ", " : "") + std::string(attn_library_entry(library, i)->name);
    return Error{"the model has no entry " + inQuotes(name) + "; it has: " + (known.empty() ? "none" : known)};
  }
  std::string where = "entry " + inQuotes(name);
  TokenEntry result;
  result.number = static_cast<uint32_t>(number);
  const attn_entry *entry = result.entry = attn_library_entry(library, result.number);

  Expected<uint32_t> ids = findTensor(entry->in, entry->n_in, "input_ids", where);
  if (!ids)
    return ids.error();
  Expected<uint32_t> logits = findTensor(entry->out, entry->n_out, "logits", where);
  if (!logits)
    return logits.error();
  result.ids = *ids;
  result.logits = *logits;
  const attn_tensor_info &in = entry->in[*ids], &out = entry->out[*logits];
  if (in.dtype.code != kDLInt || in.dtype.bits != 64 || in.dtype.lanes != 1 || in.rank != 2)
    return Error{where + ": expected input_ids of type int64 and rank 2, got " + attn_dtype_name(in.dtype) +
                 " and rank " + std::to_string(in.rank)};
  if (out.dtype.code != kDLFloat || out.dtype.bits != 32 || out.dtype.lanes != 1 || out.rank != logitsRank)
    return Error{where + ": expected logits of type float32 and rank " + std::to_string(logitsRank) + ", got " +
                 attn_dtype_name(out.dtype) + " and rank " + std::to_string(out.rank)};
  for (uint32_t i = 0; i < entry->n_in; ++i)
    if (i != *ids && !(entry->in[i].flags & ATTN_TENSOR_OPTIONAL))
      return Error{where + ": input " + inQuotes(entry->in[i].name) + " is required, only input_ids is given"};
  if (usesState != (entry->uses_state != 0))
    return Error{where + (usesState ? " does not use a state" : " needs a state")};
  result.maxTokens = upperBound(*entry, in, 1);
  result.vocabulary = out.dims[logitsRank - 1];
  if (result.vocabulary <= 0)
    return Error{where + ": expected a fixed vocabulary, the last dimension of logits"};
  return result;
}

Status EntryRunner::create(const attn_library *library, const attn_model *model, const attn_host *host) {
  attn_session *made = nullptr;
  attn_error error = emptyError();
  if (attn_session_create(library, model, host, &made, &error) != ATTN_OK)
    return errorOf(error);
  session.reset(made);
  return {};
}

static DLTensor denseTensor(void *data, const attn_tensor_info &info, int64_t *shape) {
  DLTensor tensor = {};
  tensor.data = data;
  tensor.device = {kDLCPU, 0};
  tensor.ndim = info.rank;
  tensor.dtype = info.dtype;
  tensor.shape = shape;
  return tensor;
}

Status EntryRunner::run(const TokenEntry &entry, TokenId *ids, int64_t n, float *logits, attn_state *state) {
  const attn_tensor_info &in = entry.entry->in[entry.ids], &out = entry.entry->out[entry.logits];
  int64_t idsShape[2] = {1, n};
  int64_t logitsShape[3] = {1, out.rank == 3 ? n : entry.vocabulary, entry.vocabulary};
  DLTensor idsTensor = denseTensor(ids, in, idsShape), logitsTensor = denseTensor(logits, out, logitsShape);
  // DLPack 1.2 wants strides even for contiguous tensors.
  int64_t idsStrides[2] = {n, 1};
  int64_t logitsStrides[3] = {out.rank == 3 ? n * entry.vocabulary : entry.vocabulary,
                              out.rank == 3 ? entry.vocabulary : 1, 1};
  idsTensor.strides = idsStrides;
  logitsTensor.strides = logitsStrides;
  std::vector<const DLTensor *> inputs(entry.entry->n_in, nullptr);
  std::vector<DLTensor *> outputs(entry.entry->n_out, nullptr);
  inputs[entry.ids] = &idsTensor;
  outputs[entry.logits] = &logitsTensor;

  attn_call call = {};
  call.size = sizeof call;
  call.n_in = entry.entry->n_in;
  call.n_out = entry.entry->n_out;
  call.in = inputs.data();
  call.out = outputs.data();
  call.state = state;
  attn_error error = emptyError();
  if (attn_session_run(session.get(), entry.number, &call, &error) != ATTN_OK)
    return errorOf(error);
  return {};
}

Expected<std::unique_ptr<StepModel>> CachedModel::create(const attn_library *library, const attn_model *model,
                                                         const attn_host *host) {
  auto result = std::make_unique<CachedModel>();
  Expected<TokenEntry> prefill = findEntry(library, "prefill", 2, /*usesState=*/true);
  if (!prefill)
    return prefill.error();
  Expected<TokenEntry> decode = findEntry(library, "decode", 2, /*usesState=*/true);
  if (!decode)
    return decode.error();
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
  result->logits.resize(static_cast<size_t>(prefill->vocabulary));
  return std::unique_ptr<StepModel>(std::move(result));
}

Status CachedModel::start(int64_t tokens) {
  attn_error error = emptyError();
  if (state.state && tokens <= capacity) {
    int64_t unused = 0;
    if (library->state_op(model, state.state, ATTN_STATE_TRUNCATE, /*slot=*/0, /*value=*/0, &unused, &error) != ATTN_OK)
      return errorOf(error);
    return {};
  }
  attn_state_free(host, &state);
  capacity = 0;
  if (attn_state_create(library, model, host, /*slots=*/1, static_cast<uint64_t>(tokens), /*page=*/0, &state, &error) !=
      ATTN_OK)
    return errorOf(error);
  capacity = tokens;
  return {};
}

Expected<const float *> CachedModel::prefill(const std::vector<TokenId> &ids) {
  // In pieces: memory for activations stays bounded, and the cache makes the bits the same.
  constexpr size_t kPiece = 1024;
  input = ids;
  for (size_t at = 0; at == 0 || at < input.size(); at += kPiece)
    if (Status status = runner.run(prefillEntry, input.data() + at,
                                   static_cast<int64_t>(std::min(kPiece, input.size() - at)), logits.data(), state.state);
        !status)
      return status.error();
  return logits.data();
}

Expected<const float *> CachedModel::decode(TokenId id) {
  if (Status status = runner.run(decodeEntry, &id, 1, logits.data(), state.state); !status)
    return status.error();
  return logits.data();
}

Expected<std::unique_ptr<StepModel>> UncachedModel::create(const attn_library *library, const attn_model *model,
                                                           const attn_host *host) {
  auto result = std::make_unique<UncachedModel>();
  Expected<TokenEntry> forward = findEntry(library, "forward", 3, /*usesState=*/false);
  if (!forward)
    return forward.error();
  if (Status status = result->runner.create(library, model, host); !status)
    return status.error();
  result->entry = *forward;
  return std::unique_ptr<StepModel>(std::move(result));
}

Expected<const float *> UncachedModel::prefill(const std::vector<TokenId> &ids) {
  sequence.insert(sequence.end(), ids.begin(), ids.end());
  size_t rows = sequence.size(), vocabulary = static_cast<size_t>(entry.vocabulary);
  if (rows > std::numeric_limits<size_t>::max() / sizeof(float) / vocabulary)
    return Error{"logits of " + std::to_string(rows) + " tokens do not fit memory"};
  // Room for twice as many, so that one token more does not copy; the old logits need not be kept.
  if (logits.size() < rows * vocabulary) {
    logits = {};
    logits.resize(std::min<size_t>(2 * rows, std::max<size_t>(rows, contextLength())) * vocabulary);
  }
  if (Status status = runner.run(entry, sequence.data(), static_cast<int64_t>(rows), logits.data(), nullptr); !status)
    return status.error();
  return logits.data() + (rows - 1) * vocabulary;
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
