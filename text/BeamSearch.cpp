//===- BeamSearch.cpp - Several sequences at a time --------------------------------------------------------===//
//
// transformers' GenerationMixin._beam_search (transformers 5) for one prompt, step by step and in f32, with its -1e9 for
// what must not be chosen; among equal scores the first row and the lowest id win.
//
//===--------------------------------------------------------------------------------------------------===//

#include "Search.h"

#include <algorithm>
#include <cmath>

namespace attn::text {

std::unique_ptr<Search> createBeamSearch(const SearchOptions &options, int64_t vocabulary, std::vector<TokenId> prompt,
                                         int64_t maxNewTokens);

namespace {

constexpr float kExcluded = -1e9f;

class BeamSearch : public Search {
public:
  BeamSearch(const SearchOptions &options, int64_t vocabulary, std::vector<TokenId> prompt, int64_t maxNewTokens)
      : options(options), vocabulary(vocabulary), maxNewTokens(maxNewTokens), promptTokens(prompt.size()) {
    size_t beams = static_cast<size_t>(options.beams);
    running.assign(beams, {prompt, kExcluded});
    running[0].score = 0; // the others are the same sequence, and must not yield the same tokens
    finished.assign(beams, {std::move(prompt), kExcluded});
  }

  Status advance(float *logits) override;
  std::vector<TokenId> ids() const override;
  StopReason reason() const override { return finished[0].reason; }
  double score() const override { return finished[0].score; }

private:
  struct Beam {
    std::vector<TokenId> sequence; ///< with the prompt
    float score;                   ///< sum of log-probabilities; of finished beams after the length penalty
    bool done = false;             ///< a whole text, not a placeholder
    StopReason reason = StopReason::MaxNewTokens;
  };
  struct Candidate {
    float score;
    int32_t beam;
    TokenId token;
  };

  std::vector<Candidate> bestCandidates(const float *scores, size_t n) const;
  bool finishes(Beam &beam, int64_t newTokens) const;
  float penalized(float score, int64_t length) const {
    return score / static_cast<float>(std::pow(static_cast<double>(length), options.lengthPenalty));
  }
  bool canImprove(int64_t newTokens) const;

  const SearchOptions &options;
  int64_t vocabulary, maxNewTokens;
  size_t promptTokens;
  std::vector<Beam> running, finished; ///< the best first
  bool first = true;
};

/// A stable sort, the largest score first, of a few.
template <typename T> void sortByScore(std::vector<T> &items) {
  auto better = [](const T &a, const T &b) { return a.score > b.score; };
  for (auto item = items.begin(); item != items.end(); ++item)
    std::rotate(std::upper_bound(items.begin(), item, *item, better), item, item + 1);
}

} // namespace

/// The n best of scores [beams, vocabulary], the best first.
std::vector<BeamSearch::Candidate> BeamSearch::bestCandidates(const float *scores, size_t n) const {
  // Of equals, those seen first stay and come first.
  auto better = [](const Candidate &a, const Candidate &b) {
    return a.score != b.score ? a.score > b.score : a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
  };
  std::vector<Candidate> best; // a heap with the worst at the front
  best.reserve(n + 1);
  for (size_t beam = 0; beam < running.size(); ++beam) {
    const float *row = scores + beam * static_cast<size_t>(vocabulary);
    float base = running[beam].score;
    for (int64_t token = 0; token < vocabulary; ++token) {
      float score = row[token] + base;
      if (best.size() == n && score <= best.front().score)
        continue;
      best.push_back({score, static_cast<int32_t>(beam), token});
      std::push_heap(best.begin(), best.end(), better);
      if (best.size() > n) {
        std::pop_heap(best.begin(), best.end(), better);
        best.pop_back();
      }
    }
  }
  std::sort_heap(best.begin(), best.end(), better);
  return best;
}

bool BeamSearch::finishes(Beam &beam, int64_t newTokens) const {
  const std::vector<TokenId> &eosIds = options.eosIds;
  beam.reason = StopReason::EndOfText;
  if (std::find(eosIds.begin(), eosIds.end(), beam.sequence.back()) != eosIds.end())
    return true;
  beam.reason = StopReason::StopString;
  if (options.stops && options.stops({beam.sequence.begin() + static_cast<ptrdiff_t>(promptTokens), beam.sequence.end()}))
    return true;
  beam.reason = StopReason::MaxNewTokens;
  return newTokens >= maxNewTokens;
}

/// Whether the running beams, of `newTokens` tokens, may still become better than a finished one.
bool BeamSearch::canImprove(int64_t newTokens) const {
  bool never = options.earlyStopping == EarlyStopping::Never && options.lengthPenalty > 0;
  float possible = penalized(running[0].score, never ? maxNewTokens : newTokens);
  float worst = finished.back().score;
  return std::any_of(finished.begin(), finished.end(),
                     [&](const Beam &beam) { return possible > (beam.done ? worst : kExcluded); });
}

Status BeamSearch::advance(float *logits) {
  size_t beams = running.size();
  next.clear();
  int64_t newTokens = static_cast<int64_t>(running[0].sequence.size() - promptTokens);
  std::vector<float> copies;
  if (first) { // all beams are the prompt
    if (Status status = logSoftmax(logits, vocabulary); !status)
      return status;
    processLogits(logits, vocabulary, options.logits, {running[0].sequence, newTokens, maxNewTokens, options.eosIds});
    for (size_t beam = 0; beam < beams; ++beam)
      copies.insert(copies.end(), logits, logits + vocabulary);
    logits = copies.data();
  } else {
    for (size_t beam = 0; beam < beams; ++beam) {
      float *row = logits + beam * static_cast<size_t>(vocabulary);
      if (Status status = logSoftmax(row, vocabulary); !status)
        return status;
      processLogits(row, vocabulary, options.logits,
                    {running[beam].sequence, newTokens, maxNewTokens, options.eosIds});
    }
  }
  first = false;
  ++newTokens;

  // So many that `beams` go on even if every beam could end with each of the end tokens.
  size_t kept = beams * std::max<size_t>(2, 1 + options.eosIds.size());
  std::vector<Candidate> candidates = bestCandidates(logits, kept);

  std::vector<Beam> ended;
  bool allFinish = true;
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate &candidate = candidates[i];
    Beam beam{running[static_cast<size_t>(candidate.beam)].sequence, candidate.score};
    beam.sequence.push_back(candidate.token);
    if (!finishes(beam, newTokens)) {
      allFinish = false;
      continue;
    }
    candidate.score += kExcluded; // goes on only if too few others do
    if (i < beams) { // those behind are there to go on only
      beam.score = penalized(beam.score, newTokens);
      beam.done = true;
      ended.push_back(std::move(beam));
    }
  }

  // Placeholders give way to texts of any score.
  finished.insert(finished.end(), std::make_move_iterator(ended.begin()), std::make_move_iterator(ended.end()));
  sortByScore(finished);
  finished.erase(finished.begin() + static_cast<ptrdiff_t>(beams), finished.end());

  if (allFinish)
    return {};
  sortByScore(candidates);
  std::vector<Beam> continued;
  for (size_t beam = 0; beam < beams; ++beam) {
    continued.push_back({running[static_cast<size_t>(candidates[beam].beam)].sequence, candidates[beam].score});
    continued.back().sequence.push_back(candidates[beam].token);
  }
  running = std::move(continued);
  bool full = std::all_of(finished.begin(), finished.end(), [](const Beam &beam) { return beam.done; });
  if (!canImprove(newTokens) || (full && options.earlyStopping == EarlyStopping::True))
    return {};
  for (size_t beam = 0; beam < beams; ++beam)
    next.push_back({candidates[beam].beam, candidates[beam].token});
  return {};
}

std::vector<TokenId> BeamSearch::ids() const {
  const Beam &best = finished[0];
  ptrdiff_t end = best.done && best.reason == StopReason::EndOfText ? 1 : 0;
  return {best.sequence.begin() + static_cast<ptrdiff_t>(promptTokens), best.sequence.end() - end};
}

std::unique_ptr<Search> createBeamSearch(const SearchOptions &options, int64_t vocabulary, std::vector<TokenId> prompt,
                                         int64_t maxNewTokens) {
  return std::make_unique<BeamSearch>(options, vocabulary, std::move(prompt), maxNewTokens);
}

} // namespace attn::text
