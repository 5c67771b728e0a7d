//===- Features.cpp - Training pairs of a summariser as ids, loss masks and batches ----------------------===//

#include "Features.h"

#include <algorithm>

namespace attn::text {

Status FeatureOptions::check() const {
  const std::pair<const char *, TokenId> ids[] = {{"eos", eos}, {"separator", separator}, {"padding", padding}};
  for (auto [name, id] : ids)
    if (id < 0)
      return Error{std::string("expected a token id of at least 0 for ") + name + ", got " + std::to_string(id)};
  if (maxLength < 1)
    return Error{"expected a longest length of at least 1, got " + std::to_string(maxLength)};
  int64_t before = 0;
  for (int64_t boundary : boundaries) {
    if (boundary <= before)
      return Error{"expected boundaries that grow from 1 on, got " + std::to_string(boundary) + " after " +
                   std::to_string(before)};
    before = boundary;
  }
  if (batchSizes.size() != boundaries.size() + 1)
    return Error{"expected " + std::to_string(boundaries.size() + 1) + " batch sizes, one for each boundary and one for longer " +
                 "sequences, got " + std::to_string(batchSizes.size())};
  for (int64_t size : batchSizes)
    if (size < 1)
      return Error{"expected batch sizes of at least 1, got " + std::to_string(size)};
  return {};
}

std::vector<TokenId> buildPrompt(const std::vector<TokenId> &article, const FeatureOptions &options) {
  std::vector<TokenId> ids = article;
  ids.push_back(options.eos);
  ids.push_back(options.separator);
  return ids;
}

Features buildFeatures(const std::vector<TokenId> &article, const std::vector<TokenId> &summary,
                       const FeatureOptions &options) {
  Features result{buildPrompt(article, options), {}};
  result.lossMask.assign(result.ids.size(), 0.0f);
  result.ids.insert(result.ids.end(), summary.begin(), summary.end());
  result.ids.push_back(options.eos);
  result.lossMask.resize(result.ids.size(), 1.0f);
  return result;
}

/// The smallest power of two that is at least `length`.
static int64_t powerOfTwo(int64_t length) {
  int64_t power = 1;
  while (power < length)
    power *= 2;
  return power;
}

Expected<int64_t> paddedLength(int64_t tokens) {
  if (tokens < 0 || tokens > int64_t(1) << 30)
    return Error{"expected 0 to 2^30 tokens, got " + std::to_string(tokens)};
  return powerOfTwo(tokens + 1);
}

Expected<BatchBuilder> BatchBuilder::create(FeatureOptions options) {
  if (Status status = options.check(); !status)
    return status.error();
  return BatchBuilder(std::move(options));
}

std::optional<FeatureBatch> BatchBuilder::add(const std::vector<TokenId> &article, const std::vector<TokenId> &summary) {
  Features features = buildFeatures(article, summary, options);
  int64_t length = static_cast<int64_t>(features.ids.size());
  if (length > options.maxLength) {
    ++tooLong;
    return std::nullopt;
  }
  auto boundary = std::lower_bound(options.boundaries.begin(), options.boundaries.end(), length);
  size_t bucket = static_cast<size_t>(boundary - options.boundaries.begin());
  buckets[bucket].push_back(std::move(features));
  if (static_cast<int64_t>(buckets[bucket].size()) < options.batchSizes[bucket])
    return std::nullopt;
  return take(bucket);
}

std::optional<FeatureBatch> BatchBuilder::finish() {
  for (size_t bucket = 0; bucket < buckets.size(); ++bucket)
    if (!buckets[bucket].empty())
      return take(bucket);
  return std::nullopt;
}

FeatureBatch BatchBuilder::take(size_t bucket) {
  std::vector<Features> rows = std::move(buckets[bucket]);
  buckets[bucket].clear();
  FeatureBatch batch;
  batch.rows = static_cast<int64_t>(rows.size());
  for (const Features &row : rows)
    batch.length = std::max(batch.length, static_cast<int64_t>(row.ids.size()));
  if (bucket < options.boundaries.size()) {
    int64_t boundary = options.boundaries[bucket];
    batch.length = 2 * batch.length < boundary ? powerOfTwo(batch.length) : boundary;
  }
  batch.ids.assign(static_cast<size_t>(batch.rows * batch.length), options.padding);
  batch.lossMask.assign(batch.ids.size(), 0.0f);
  for (int64_t i = 0; i < batch.rows; ++i) {
    const Features &row = rows[static_cast<size_t>(i)];
    std::copy(row.ids.begin(), row.ids.end(), batch.ids.begin() + i * batch.length);
    std::copy(row.lossMask.begin(), row.lossMask.end(), batch.lossMask.begin() + i * batch.length);
  }
  return batch;
}

} // namespace attn::text
