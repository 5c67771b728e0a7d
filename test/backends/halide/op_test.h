//===- op_test.h - Runs one op of a pipeline on every device that is here ---------------------===//
#ifndef ATTNC_TEST_BACKENDS_HALIDE_OP_TEST_H
#define ATTNC_TEST_BACKENDS_HALIDE_OP_TEST_H

#include "backends/halide/Pipeline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace attnc::halide {

/// A buffer, row-major; `values` are its numbers as they are after rounding to its type, that of MLIR.
struct Tensor {
  std::string type;
  std::vector<int64_t> shape;
  std::vector<double> values;
  bool isParameter = false; // all sizes are known when it is compiled; otherwise the last one alone
  bool isGiven = true;      // false: an optional argument that is left out

  Tensor(std::string type, std::vector<int64_t> shape) : type(std::move(type)), shape(std::move(shape)), values(size()) {}
  Tensor parameter() const;
  static Tensor absent(std::string type, size_t rank);

  int64_t size() const;
  int64_t columns() const { return shape.back(); }
  int64_t rows() const { return columns() ? size() / columns() : 0; }
  double &operator()(int64_t r, int64_t c) { return values[r * columns() + c]; }
  double operator()(int64_t r, int64_t c) const { return values[r * columns() + c]; }
};

/// The number nearest to `value` that an MLIR type has.
double roundTo(const std::string &type, double value);

/// Random numbers; a failure shows the seed, which ATTN_TEST_SEED repeats.
class Random {
public:
  Random();
  int64_t integer(int64_t least, int64_t most) { return std::uniform_int_distribution<int64_t>(least, most)(engine); }
  template <typename T> T oneOf(std::initializer_list<T> values) { return values.begin()[integer(0, values.size() - 1)]; }
  Tensor normal(std::string type, std::vector<int64_t> shape, double deviation = 1);
  Tensor integers(std::string type, std::vector<int64_t> shape, int64_t least, int64_t most);

private:
  unsigned seed;
  std::mt19937 engine;
  ::testing::ScopedTrace trace;
};

/// What to test on: the CPU with vectors of several widths, and OpenCL where there is a device.
const std::vector<Halide::Target> &targets();

/// Runs `op`, in which %0, %1, ... are `inputs` and then `outputs` in the order of its operands, on one target. What lies
/// before and behind outputs must not change; a read beyond the end of an input faults.
void run(const Halide::Target &target, const std::string &op, const std::vector<const Tensor *> &inputs,
         const std::vector<Tensor *> &outputs);
/// Why the op is refused.
std::string refusal(const Halide::Target &target, const std::string &op, const std::vector<const Tensor *> &operands);

/// ‖result - expected‖ ≤ tolerance·‖expected‖, NaN and infinities where they are expected.
void expectNear(const Tensor &result, const Tensor &expected, double tolerance = 2e-6);

/// Runs the op on every target; `expected` is its output.
void check(const std::string &op, const std::vector<const Tensor *> &inputs, const Tensor &expected, double tolerance = 2e-6);

} // namespace attnc::halide

#endif // ATTNC_TEST_BACKENDS_HALIDE_OP_TEST_H
