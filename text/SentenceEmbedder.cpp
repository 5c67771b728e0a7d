//===- SentenceEmbedder.cpp - Vectors of sentences -------------------------------------------------------===//

#include "SentenceEmbedder.h"

#include <algorithm>
#include <numeric>

namespace attn::text {

std::vector<SentenceBatch> groupByLength(const std::vector<size_t> &lengths, int64_t batchTokens, int64_t maxRows) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b;
  });
  std::vector<SentenceBatch> batches;
  for (size_t sentence : order) {
    int64_t length = static_cast<int64_t>(lengths[sentence]);
    bool fits = false;
    if (!batches.empty()) {
      const SentenceBatch &last = batches.back();
      int64_t rows = static_cast<int64_t>(last.sentences.size()) + 1;
      int64_t padding = rows * last.seq - last.tokens - length;
      fits = rows <= maxRows && rows * last.seq <= batchTokens && padding <= batchTokens / 8;
    }
    if (!fits)
      batches.push_back({{}, std::max<int64_t>(length, 1), 0});
    batches.back().sentences.push_back(sentence);
    batches.back().tokens += length;
  }
  return batches;
}

Expected<SentenceEmbedder> SentenceEmbedder::create(const attn_library *library, const attn_model *model,
                                                    const attn_host *host) {
  Expected<uint32_t> number = findEntryNumber(library, "forward");
  if (!number)
    return number.error();
  const std::string where = "entry 'forward'";
  SentenceEmbedder result;
  result.number = *number;
  const attn_entry *entry = result.entry = attn_library_entry(library, *number);
  if (!findTensor(entry->out, entry->n_out, "sentence_embedding", where)) {
    std::string known;
    for (uint32_t i = 0; i < entry->n_out; ++i)
      known += (i ? ", " : "") + std::string(entry->out[i].name);
    return Error{where + " has no output 'sentence_embedding'; it has: " + (known.empty() ? "none" : known) +
                 "; models have it that are compiled from a directory of sentence-transformers (modules.json)"};
  }
  result.output = *findTensor(entry->out, entry->n_out, "sentence_embedding", where);
  const attn_tensor_info &out = entry->out[result.output];
  if (out.dtype.code != kDLFloat || out.dtype.bits != 32 || out.dtype.lanes != 1 || out.rank != 2 || out.dims[1] < 1)
    return Error{where + ": expected sentence_embedding of type float32, rank 2 and a fixed width, got " +
                 attn_dtype_name(out.dtype) + " and rank " + std::to_string(out.rank)};
  result.features = out.dims[1];
  Expected<uint32_t> ids = findIds(entry, "input_ids", where), mask = findIds(entry, "attention_mask", where);
  if (!ids)
    return ids.error();
  if (!mask)
    return mask.error();
  result.ids = *ids;
  result.mask = *mask;
  result.mostRows = upperBound(*entry, entry->in[*ids], 0);
  result.longest = upperBound(*entry, entry->in[*ids], 1);
  for (uint32_t i = 0; i < entry->n_in; ++i)
    if (i != *ids && i != *mask && !(entry->in[i].flags & ATTN_TENSOR_OPTIONAL))
      return Error{where + ": input '" + entry->in[i].name + "' is required, only input_ids and attention_mask are given"};
  if (entry->uses_state)
    return Error{where + " needs a state"};
  Expected<OwnedSession> session = createSession(library, model, host);
  if (!session)
    return session.error();
  result.session = std::move(*session);
  return result;
}

Expected<std::vector<float>> SentenceEmbedder::run(const std::vector<std::vector<TokenId>> &sentences,
                                                   const std::vector<SentenceBatch> &batches,
                                                   const std::function<void(const SentenceBatch &)> &onBatch) {
  size_t width = static_cast<size_t>(features);
  std::vector<float> vectors(sentences.size() * width), part;
  for (const SentenceBatch &batch : batches) {
    part.resize(batch.sentences.size() * width);
    if (Status status = runBatch(sentences, batch, part.data()); !status)
      return status.error();
    for (size_t row = 0; row < batch.sentences.size(); ++row)
      std::copy_n(part.data() + row * width, width, vectors.data() + batch.sentences[row] * width);
    if (onBatch)
      onBatch(batch);
  }
  return vectors;
}

/// vectors: [batch, width]. Padding is on the right, where it changes no bit of the others.
Status SentenceEmbedder::runBatch(const std::vector<std::vector<TokenId>> &sentences, const SentenceBatch &batch,
                                  float *vectors) {
  int64_t rows = static_cast<int64_t>(batch.sentences.size());
  std::vector<TokenId> idRows(static_cast<size_t>(rows * batch.seq)), maskRows(idRows.size());
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<TokenId> &sentence = sentences[batch.sentences[static_cast<size_t>(row)]];
    std::copy(sentence.begin(), sentence.end(), idRows.begin() + row * batch.seq);
    std::fill_n(maskRows.begin() + row * batch.seq, sentence.size(), 1);
  }
  DenseTensor idsTensor(idRows.data(), entry->in[ids], rows, batch.seq);
  DenseTensor maskTensor(maskRows.data(), entry->in[mask], rows, batch.seq);
  DenseTensor outTensor(vectors, entry->out[output], rows, features);
  std::vector<const DLTensor *> inputs(entry->n_in, nullptr);
  std::vector<DLTensor *> outputs(entry->n_out, nullptr);
  inputs[ids] = &idsTensor.tensor;
  inputs[mask] = &maskTensor.tensor;
  outputs[output] = &outTensor.tensor;
  attn_call call = {};
  call.size = sizeof call;
  call.n_in = entry->n_in;
  call.n_out = entry->n_out;
  call.in = inputs.data();
  call.out = outputs.data();
  attn_error error = emptyError();
  if (attn_session_run(session.get(), number, &call, &error) != ATTN_OK)
    return errorOf(error);
  return {};
}

} // namespace attn::text
