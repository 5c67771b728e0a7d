// A model written by hand around the support code of backends/cpu/support, and callers for it.
#ifndef ATTNC_TEST_BACKENDS_SUPPORT_TEST_H
#define ATTNC_TEST_BACKENDS_SUPPORT_TEST_H

#include "backends/cpu/support/Descriptor.h"

#include <cstdlib>
#include <string>
#include <vector>

extern "C" void attn_fail(void *context, int32_t status, const char *message);
extern "C" void attn_dispatch(void *context, void (*kernel)(void *, int64_t, int64_t), void *arg, int64_t count,
                              const char *op, int64_t flop, int64_t bytes);

/// Entries of the model. copy: y = x; `x` float32 [n, 3 ≤ n ≤ 8], twice named, and an optional float32 [m].
/// prefill: input_ids int64 [batch, seq ≤ 512], attention_mask optional [batch, keys]; next int64 [batch] = tokens held
/// before. fail: code int64 []: attn_fail with it. wide: output [m] of an optional input's dimension. strided: y float32
/// [n] = first column of x float32 [n, m], any strides; mask float32 [m] as well, optional. count: ten ops add 1 to every
/// element of y int64 [1000]; x float32 [] is not read. encode: as prefill, to the cross part, of what attention_mask [batch,
/// seq] selects. step: as prefill, and reads the cross part. ids: y = x, int64 [n, m], x of any strides; w = z, int64 [n], or -1 where
/// the optional z is left out. x and z may be int32.
enum { COPY, PREFILL, FAIL, WIDE, HUGE_WORKSPACE, STRIDED, COUNT, ENCODE, STEP, IDS };
constexpr uint64_t kWeightsBytes = 128, kTokenBytes = 8;
inline const char kBuildId[] = "0123456789abcdef0123456789abcdef";

/// What the generated code of the last run saw, and what it should do.
struct Observed {
  int64_t page = 0, workers = 0, weightsSize = 0, workspaceSize = 0, maskSize = -1;
  const void *mask = nullptr;
  std::vector<int32_t> past, table;
  std::vector<std::vector<int64_t>> tokens; ///< per row: what its table leads to, for every position
  std::vector<std::vector<int64_t>> cross;  ///< the same of the cross part that a run reads
  std::vector<int64_t> strides;
  int64_t elements = 0; ///< of all pages
  int dispatches = 1;
  std::string spans;
};
extern Observed observed;

/// Tests change how the cache is read.
extern "C" attn_model_descriptor attn_descriptor;

/// Weights of the model, 64-byte aligned, as compiled.
const void *goodWeights();

/// An open model whose host can be changed before; closes it.
class TestModel {
public:
  explicit TestModel(attn_host host = plainHost(), const char *variant = nullptr);
  ~TestModel();
  static attn_host plainHost();

  const attn_library *library = attn_query(ATTN_ABI_VERSION);
  attn_model *model = nullptr;
  attn_error error = {};
  std::string text() const { return error.text; }

  /// Runs with a workspace of at least the right size, 4096 bytes.
  int32_t run(uint32_t entry, std::vector<const DLTensor *> in, std::vector<DLTensor *> out, attn_state *state = nullptr,
              const int32_t *slots = nullptr);
};

/// A compact CPU tensor that owns aligned memory.
struct TestTensor : DLTensor {
  std::vector<int64_t> sizes;
  std::vector<int64_t> bytes; // int64: aligned for every type
  TestTensor(DLDataType type, std::vector<int64_t> shape);
  TestTensor(const TestTensor &) = delete;
  float *floats() { return static_cast<float *>(data); }
  int32_t *narrow() { return static_cast<int32_t *>(data); }
  int64_t *ints() { return static_cast<int64_t *>(data); }
};
constexpr DLDataType kF32 = {kDLFloat, 32, 1}, kI32 = {kDLInt, 32, 1}, kI64 = {kDLInt, 64, 1};

#endif // ATTNC_TEST_BACKENDS_SUPPORT_TEST_H
