//===- linear_test.cpp - Products with weights as Halide pipelines -------------------------===//
#include "op_test.h"

namespace attnc::halide {
namespace {

constexpr int64_t kPanel = 16;

/// [..., K, N] in panels.
Tensor pack(const Tensor &weight) {
  int64_t n = weight.shape[weight.shape.size() - 1], k = weight.shape[weight.shape.size() - 2];
  int64_t step = weight.type == "f32" ? 1 : 2, panels = (n + kPanel - 1) / kPanel, steps = (k + step - 1) / step;
  std::vector<int64_t> shape(weight.shape.begin(), weight.shape.end() - 2);
  for (int64_t size : {panels, steps, kPanel})
    shape.push_back(size);
  if (step == 2)
    shape.push_back(2);
  Tensor packed = Tensor(weight.type, shape).parameter();
  for (int64_t e = 0; e < int64_t(weight.values.size()); ++e) {
    int64_t matrix = e / (n * k), row = e / n % k, column = e % n;
    int64_t at = ((matrix * panels + column / kPanel) * steps + row / step) * kPanel + column % kPanel;
    packed.values[at * step + row % step] = weight.values[e];
  }
  return packed;
}

/// x · W + bias
Tensor productOf(const Tensor &x, const Tensor &weight, const Tensor *bias) {
  int64_t n = weight.columns(), k = weight.rows();
  Tensor y("f32", {x.rows(), n});
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t c = 0; c < n; ++c) {
      double sum = bias ? bias->values[c] : 0;
      for (int64_t i = 0; i < k; ++i)
        sum += x(r, i) * weight(i, c);
      y(r, c) = sum;
    }
  return y;
}

struct Size {
  int64_t m, k, n;
};

TEST(HalideLinear, Packed) {
  Random random;
  for (std::string type : {"f32", "bf16", "f16"})
    for (Size s : {Size{5, 33, 48}, Size{1, 64, 100}, Size{70, 1, 17}, Size{0, 7, 3}, Size{4, 40, 1}}) {
      SCOPED_TRACE(type + " " + std::to_string(s.m) + "·" + std::to_string(s.k) + "·" + std::to_string(s.n));
      Tensor x = random.normal("f32", {s.m, s.k}), weight = random.normal(type, {s.k, s.n}), packed = pack(weight);
      check("attn.linear %0, %1 outs %2", {&x, &packed}, productOf(x, weight, nullptr));
    }
}

TEST(HalideLinear, Epilogue) {
  Random random;
  Tensor x = random.normal("f32", {9, 24}), weight = random.normal("bf16", {24, 80}), packed = pack(weight);
  Tensor bias = random.normal("bf16", {80}), residual = random.normal("f32", {9, 80});
  Tensor y = productOf(x, weight, &bias);
  for (size_t i = 0; i < y.values.size(); ++i)
    y.values[i] = std::max(y.values[i], 0.0) + residual.values[i];
  check("attn.linear %0, %1 bias %2 activation relu residual %3 outs %4", {&x, &packed, &bias, &residual}, y);
}

TEST(HalideLinear, Plain) {
  Random random;
  Tensor x = random.normal("bf16", {6, 20}), weight = random.normal("f32", {20, 37}).parameter(), turned("f32", {37, 20});
  for (int64_t k = 0; k < 20; ++k)
    for (int64_t n = 0; n < 37; ++n)
      turned(n, k) = weight(k, n);
  turned.isParameter = true;
  Tensor y = productOf(x, weight, nullptr);
  check("attn.linear %0, %1 outs %2", {&x, &weight}, y);
  check("attn.linear %0, %1 outs %2 {transpose_weight}", {&x, &turned}, y);
}

TEST(HalideLinear, Ranks) {
  Random random;
  for (std::vector<int64_t> shape : {std::vector<int64_t>{3, 5, 8}, {2, 1, 3, 8}}) {
    Tensor x = random.normal("f32", shape), weight = random.normal("f32", {8, 20}), packed = pack(weight);
    Tensor y = productOf(x, weight, nullptr);
    y.shape = shape;
    y.shape.back() = 20;
    check("attn.linear %0, %1 outs %2", {&x, &packed}, y);
  }
}

/// A token's bits depend on its own row only.
TEST(HalideLinear, RowsAreIndependent) {
  Random random;
  Tensor packed = pack(random.normal("bf16", {130, 64})), many = random.normal("f32", {11, 130});
  for (const Halide::Target &target : targets()) {
    Tensor all("f32", {11, 64});
    run(target, "attn.linear %0, %1 outs %2", {&many, &packed}, {&all});
    for (int64_t r : {0, 7, 10}) {
      Tensor one("f32", {1, 130}), result("f32", {1, 64});
      std::copy_n(many.values.begin() + r * 130, 130, one.values.begin());
      run(target, "attn.linear %0, %1 outs %2", {&one, &packed}, {&result});
      EXPECT_TRUE(std::equal(result.values.begin(), result.values.end(), all.values.begin() + r * 64)) << "row " << r;
    }
  }
}

TEST(HalideLinear, Experts) {
  Random random;
  for (std::string type : {"f32", "bf16"})
    for (bool isShared : {true, false}) {
      const int64_t experts = 5, topK = 2, k = 21, n = 40, batch = 2, seq = 3;
      std::vector<int64_t> shape = {batch, seq, topK, k};
      if (isShared)
        shape.erase(shape.begin() + 2);
      Tensor x = random.normal("f32", shape), weight = random.normal(type, {experts, k, n}), packed = pack(weight);
      Tensor bias = random.normal("f32", {experts, n}).parameter(), ids = random.integers("i64", {batch, seq, topK}, 0, experts - 1);
      Tensor y("f32", {batch, seq, topK, n});
      for (int64_t choice = 0; choice < batch * seq * topK; ++choice)
        for (int64_t c = 0; c < n; ++c) {
          int64_t expert = int64_t(ids.values[choice]);
          double sum = bias(expert, c);
          for (int64_t i = 0; i < k; ++i)
            sum += x(isShared ? choice / topK : choice, i) * weight(expert * k + i, c);
          y(choice, c) = sum;
        }
      check("attn.expert_linear %0, %1 bias %2 experts %3 outs %4", {&x, &packed, &bias, &ids}, y);
    }
}

} // namespace
} // namespace attnc::halide
