//===- Packing.cpp - In which order buffers share memory -----------------------------------------===//
#include "passes/Packing.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"

namespace attnc {

namespace {
/// Rounds of exchanges: a dozen buffers are done after two or three.
constexpr int kMostRounds = 8;

struct Packing {
  ArrayRef<Lifetime> lifetimes;
  ArrayRef<SmallVector<double>> samples;
  SmallVector<double> live; // the most bytes in use at the same time, by sample

  double mostLive(ArrayRef<double> sizes) {
    double most = 1;
    for (const Lifetime &now : lifetimes) { // it is reached where a lifetime begins
      double sum = 0;
      for (auto [other, size] : llvm::zip(lifetimes, sizes))
        if (other.first <= now.first && now.first <= other.last)
          sum += size;
      most = std::max(most, sum);
    }
    return most;
  }

  /// The largest ratio of the memory needed to what is in use.
  double waste(ArrayRef<unsigned> order) {
    double worst = 0;
    SmallVector<double> ends(order.size());
    for (auto [sizes, live] : llvm::zip(samples, live)) {
      double total = 0;
      for (size_t i = 0; i < order.size(); ++i) {
        double offset = 0;
        for (size_t j = 0; j < i; ++j)
          if (lifetimes[order[i]].meets(lifetimes[order[j]]))
            offset = std::max(offset, ends[order[j]]);
        ends[order[i]] = offset + sizes[order[i]];
        total = std::max(total, ends[order[i]]);
      }
      worst = std::max(worst, total / live);
    }
    return worst;
  }

  /// Each at the lowest free offset, in the order given; then by offset, which is the same packing as a stack.
  SmallVector<unsigned> firstFit(ArrayRef<unsigned> order, ArrayRef<double> sizes) {
    SmallVector<double> offsets(order.size());
    SmallVector<unsigned> placed;
    auto byOffset = [&](unsigned a, unsigned b) { return std::pair(offsets[a], a) < std::pair(offsets[b], b); };
    for (unsigned buffer : order) {
      for (unsigned other : placed) // ascending
        if (lifetimes[buffer].meets(lifetimes[other]) && offsets[other] < offsets[buffer] + sizes[buffer])
          offsets[buffer] = std::max(offsets[buffer], offsets[other] + sizes[other]);
      placed.insert(llvm::upper_bound(placed, buffer, byOffset), buffer);
    }
    return placed;
  }
};
} // namespace

SmallVector<unsigned> packingOrder(ArrayRef<Lifetime> lifetimes, ArrayRef<SmallVector<double>> samples) {
  Packing packing{lifetimes, samples, {}};
  for (const SmallVector<double> &sizes : samples)
    packing.live.push_back(packing.mostLive(sizes));
  SmallVector<unsigned> best = llvm::to_vector(llvm::seq<unsigned>(0, lifetimes.size()));
  double least = packing.waste(best);
  auto consider = [&](ArrayRef<unsigned> order) {
    double waste = packing.waste(order);
    if (waste >= least)
      return false;
    least = waste;
    best.assign(order.begin(), order.end());
    return true;
  };
  const SmallVector<unsigned> all = best;
  for (const SmallVector<double> &sizes : samples) {
    SmallVector<unsigned> bySize = all, byLength = all;
    auto length = [&](unsigned n) { return lifetimes[n].last - lifetimes[n].first; };
    std::sort(bySize.begin(), bySize.end(), [&](unsigned a, unsigned b) { return std::pair(-sizes[a], a) < std::pair(-sizes[b], b); });
    std::sort(byLength.begin(), byLength.end(), [&](unsigned a, unsigned b) {
      return std::tuple(length(b), -sizes[a], a) < std::tuple(length(a), -sizes[b], b);
    });
    consider(packing.firstFit(bySize, sizes));
    consider(packing.firstFit(byLength, sizes));
  }
  bool isBetter = true;
  for (int round = 0; isBetter && round < kMostRounds; ++round) {
    isBetter = false;
    for (size_t i = 0; i + 1 < best.size(); ++i) {
      SmallVector<unsigned> order = best;
      std::swap(order[i], order[i + 1]);
      isBetter |= consider(order);
    }
  }
  return best;
}

} // namespace attnc
