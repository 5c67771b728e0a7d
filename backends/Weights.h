//===- Weights.h - Packing a checkpoint's tensors into the weights segment ------------------===//
#ifndef ATTNC_BACKENDS_WEIGHTS_H
#define ATTNC_BACKENDS_WEIGHTS_H

#include "backends/Interface.h"
#include "llvm/Support/Error.h"

#include <atomic>

namespace attnc {

class WeightSet;

/// Checks that every parameter's sources exist with the shape and a type that can be converted. Errors name the tensor,
/// its file, what was expected and what was found.
llvm::Error checkWeights(llvm::ArrayRef<Parameter> parameters, const WeightSet &weights);

/// Writes the weights segment, `bytes` long, at `start` of the open file `fd`: attn_weights_header, then each parameter
/// at its offset, converted (to nearest even) and packed, zeros between. Streams: uses a few MiB whatever the size.
/// The parameters were read by readParameters and passed checkWeights. `buildId` has 32 characters. Fails soon after `cancelled`.
llvm::Error writeWeights(int fd, uint64_t start, uint64_t bytes, llvm::StringRef buildId,
                         llvm::ArrayRef<Parameter> parameters, const WeightSet &weights,
                         const std::atomic<bool> *cancelled = nullptr);

/// Packs panels `first` … `first + count` of a [K, N] weight, or of all experts' (sources as in `parameter`), into `out`,
/// whose layout is attn::packedShape's. Exposed for its test.
void packPanels(const Parameter &parameter, const WeightSet &weights, int64_t first, int64_t count, char *out);

} // namespace attnc

#endif // ATTNC_BACKENDS_WEIGHTS_H
