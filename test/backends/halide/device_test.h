// A device under test: a model of the fake kind, its host, and the process around Halide's runtime, where everything
// can be made to fail.
#ifndef ATTNC_TEST_BACKENDS_HALIDE_DEVICE_TEST_H
#define ATTNC_TEST_BACKENDS_HALIDE_DEVICE_TEST_H

#include "fake_model.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

extern "C" {
int affine_argv(void **); ///< out[n, m] = in·scale + shift
int halves_argv(void **);
}

constexpr DLDataType kF32 = {kDLFloat, 32, 1}, kI64 = {kDLInt, 64, 1}, kBF16 = {kDLBfloat, 16, 1},
                     kBool = {kDLInt, 1, 1};

/// What Halide's runtime gets from the process. Reset by every test.
struct Process {
  int mallocs = 0, failMalloc = -1; ///< calls of malloc by the runtime and the support code; the one that fails
  bool noDriver = false;            ///< dlopen finds nothing
  std::string missing;              ///< function that the driver lacks
  std::string failing;              ///< function of the driver that fails
  int failAfter = 0;                ///< … after so many calls
  int buffers = 0;                  ///< of OpenCL that are not released
  bool calledFailing = false;
};
extern Process process;

/// A tensor for ops; its sizes live as long as the test.
class DeviceTest : public testing::Test {
protected:
  DeviceTest();
  ~DeviceTest() override;
  /// Skips the test where there is no driver.
  void SetUp() override;

  /// Opens the model.
  void open(const void *weights = nullptr, uint64_t weightsBytes = 0);
  void close();

  const DLTensor *tensor(DLDataType type, void *data, std::vector<int64_t> shape, std::vector<int64_t> strides = {});
  const DLTensor *matrix(float *data, int64_t rows, int64_t columns, int64_t stride = 0) {
    return tensor(kF32, data, {rows, columns}, {stride ? stride : columns, 1});
  }
  /// out = in·scale + shift.
  fake_op affine(const DLTensor *in, float scale, int64_t shift, const DLTensor *out);
  fake_op copy(fake_kind kind, const DLTensor *view) { return {kind, nullptr, view, 0, 0}; }

  int32_t run(std::vector<fake_op> ops, int page = -1);
  std::string text() const { return error.text; }

  attn_host host = {};
  attn_error error = {};
  fake_model *model = nullptr;
  std::vector<float> workspace; ///< may be empty
  attn_state *state = nullptr;
  std::string copies; ///< of the runs: "<160 >64 ", bytes to and from the device
  std::deque<DLTensor> tensors;
  std::deque<std::vector<int64_t>> shapes;
  std::deque<std::vector<DLTensor>> operands;
  std::deque<float> scales;
  std::deque<int64_t> shifts;
};

/// Seed of the test, from ATTN_TEST_SEED or random; shown when the test fails.
unsigned testSeed();

#endif
