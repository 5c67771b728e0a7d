//===- ModelEntry.h - Finding and calling the entries of a model file ------------------------------------===//
#ifndef ATTN_TEXT_MODELENTRY_H
#define ATTN_TEXT_MODELENTRY_H

#include "Expected.h"
#include "runtime/attn_runtime.h"

#include <memory>

namespace attn::text {

inline attn_error emptyError() {
  attn_error error = {};
  error.size = sizeof error;
  return error;
}
inline Error errorOf(const attn_error &error) { return {error.text}; }

/// Upper bound of dimension `d` of a tensor.
int64_t upperBound(const attn_entry &entry, const attn_tensor_info &info, int d);

/// Errors: "the model has no entry 'prefill'; it has: forward".
Expected<uint32_t> findEntryNumber(const attn_library *library, const char *name);
/// Index of a tensor; `where` starts the error text: "WHERE has no 'logits'".
Expected<uint32_t> findTensor(const attn_tensor_info *infos, uint32_t n, const char *name, const std::string &where);
/// Finds the input `name` and checks that it is int64 [batch, seq].
Expected<uint32_t> findIds(const attn_entry *entry, const char *name, const std::string &where);

struct SessionFreer {
  void operator()(attn_session *session) const { attn_session_free(session); }
};
using OwnedSession = std::unique_ptr<attn_session, SessionFreer>;
Expected<OwnedSession> createSession(const attn_library *library, const attn_model *model, const attn_host *host);

/// A contiguous tensor that points into itself for its shape. DLPack 1.2 wants strides even for contiguous tensors.
struct DenseTensor {
  DLTensor tensor = {};
  int64_t shape[3], strides[3];

  /// Of the type and rank of `info`.
  DenseTensor(const void *data, const attn_tensor_info &info, int64_t d0, int64_t d1, int64_t d2 = 1)
      : shape{d0, d1, d2}, strides{d1 * d2, d2, 1} {
    tensor.data = const_cast<void *>(data); // the ABI takes pointers to mutable data; inputs are not written
    tensor.device = {kDLCPU, 0};
    tensor.ndim = info.rank;
    tensor.dtype = info.dtype;
    tensor.shape = shape;
    tensor.strides = strides;
  }
  DenseTensor(const DenseTensor &) = delete;
};

} // namespace attn::text

#endif // ATTN_TEXT_MODELENTRY_H
