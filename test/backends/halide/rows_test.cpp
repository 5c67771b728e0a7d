//===- rows_test.cpp - Ops over rows of features as Halide pipelines -----------------------===//
#include "op_test.h"

namespace attnc::halide {
namespace {

/// A row's elements: map(values of the row) for all rows.
Tensor mapRows(const Tensor &x, std::function<std::vector<double>(std::vector<double>)> map) {
  Tensor y = x;
  for (int64_t r = 0; r < x.rows(); ++r) {
    auto row = x.values.begin() + r * x.columns();
    std::vector<double> result = map(std::vector<double>(row, row + x.columns()));
    std::copy(result.begin(), result.end(), y.values.begin() + r * x.columns());
  }
  return y;
}

Tensor normOf(const Tensor &x, const Tensor &gamma, const Tensor *beta, bool isLayer, double epsilon, double unit = 0) {
  return mapRows(x, [&](std::vector<double> row) {
    double mean = 0, variance = 0, k = double(row.size());
    for (double v : row)
      mean += isLayer ? v / k : 0;
    for (double v : row)
      variance += (v - mean) * (v - mean) / k;
    for (size_t j = 0; j < row.size(); ++j)
      row[j] = (row[j] - mean) / std::sqrt(variance + epsilon) * (gamma.values[j] + unit) + (beta ? beta->values[j] : 0);
    return row;
  });
}

TEST(HalideRows, Norms) {
  Random random;
  for (std::vector<int64_t> shape : {std::vector<int64_t>{3, 5, 64}, {1, 1, 1}, {17, 67}, {2, 0, 16}, {1, 40, 129}}) {
    int64_t k = shape.back();
    Tensor x = random.normal("f32", shape), gamma = random.normal("bf16", {k}), beta = random.normal("f32", {k});
    check("attn.layer_norm %0, %1, %2 outs %3 {epsilon = 1.0e-3 : f64}", {&x, &gamma, &beta}, normOf(x, gamma, &beta, true, 1e-3));
    check("attn.rms_norm %0, %1 outs %2 {unit_offset}", {&x, &gamma}, normOf(x, gamma, nullptr, false, 1e-5, 1));
  }
}

TEST(HalideRows, Elementwise) {
  Random random;
  Tensor x = random.normal("f32", {3, 7, 37}, 4), times = random.normal("f32", {3, 7, 37});
  auto map = [&](auto f) {
    Tensor y = x;
    for (size_t i = 0; i < x.values.size(); ++i)
      y.values[i] = f(x.values[i], times.values[i]);
    return y;
  };
  auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  check("attn.scale %0 by 0.7 outs %1", {&x}, map([](double v, double) { return v * 0.7; }));
  check("attn.soft_cap %0 at 3.0 outs %1", {&x}, map([](double v, double) { return 3 * std::tanh(v / 3); }));
  check("attn.activation silu %0 times %1 outs %2", {&x, &times}, map([&](double v, double t) { return v * sigmoid(v) * t; }));
  check("attn.activation quick_gelu %0 times %1 outs %2 {limit = 1.5, times_offset = 1.0}", {&x, &times},
        map([&](double v, double t) {
          v = std::min(v, 1.5);
          return v * sigmoid(1.702 * v) * (std::max(-1.5, std::min(t, 1.5)) + 1);
        }));
  const double alpha = 1.6732632423543772, scale = 1.0507009873554805;
  auto softplus = [](double v) { return std::log1p(std::exp(v)); };
  auto clamp = [](double v) { return std::min(std::max(v, 0.0), 6.0); };
  std::pair<const char *, std::function<double(double)>> kinds[] = {
      {"relu", [](double v) { return std::max(v, 0.0); }},
      {"relu2", [](double v) { return std::pow(std::max(v, 0.0), 2); }},
      {"relu6", clamp},
      {"leaky_relu", [](double v) { return v >= 0 ? v : 0.01 * v; }},
      {"gelu", [](double v) { return v / 2 * std::erfc(-v / std::sqrt(2)); }},
      {"gelu_tanh", [](double v) { return v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))); }},
      {"tanh", [](double v) { return std::tanh(v); }},
      {"sigmoid", sigmoid},
      {"mish", [&](double v) { return v * std::tanh(softplus(v)); }},
      {"elu", [](double v) { return v > 0 ? v : std::expm1(v); }},
      {"selu", [&](double v) { return scale * (v > 0 ? v : alpha * std::expm1(v)); }},
      {"softplus", softplus},
      {"hard_sigmoid", [&](double v) { return clamp(v + 3) / 6; }},
      {"hard_swish", [&](double v) { return v * clamp(v + 3) / 6; }},
  };
  for (auto &[name, f] : kinds)
    check(std::string("attn.activation ") + name + " %0 outs %1", {&x}, map([f = f](double v, double) { return f(v); }));
}

TEST(HalideRows, ShapesOfElements) {
  Random random;
  for (std::vector<int64_t> shape : {std::vector<int64_t>{1, 1}, {2, 3}, {5, 2, 3, 16}, {1, 0, 8}, {33, 100}, {2, 17}}) {
    Tensor x = random.normal("f32", shape), y = x;
    for (double &v : y.values)
      v = std::max(v, 0.0);
    check("attn.activation relu %0 outs %1", {&x}, y);
  }
}

TEST(HalideRows, Narrow) {
  Random random;
  for (std::string type : {"bf16", "f16"}) {
    Tensor x = random.normal(type, {3, 50}), y = x;
    // Numbers at both ends of the format, too.
    for (int i = 0; i < 40; ++i)
      x.values[i] = roundTo(type, std::ldexp(x.values[i], -27 + i));
    x.values[40] = INFINITY;
    for (size_t i = 0; i < x.values.size(); ++i)
      y.values[i] = roundTo(type, float(x.values[i] * 1.25f));
    check("attn.scale %0 by 1.25 outs %1", {&x}, y, 0);
  }
}

TEST(HalideRows, L2Norm) {
  Random random;
  Tensor x = random.normal("f32", {4, 1, 75});
  std::fill_n(x.values.begin(), 75, 0.0); // stays 0
  check("attn.l2_norm %0 outs %1", {&x}, mapRows(x, [](std::vector<double> row) {
    double sum = 0;
    for (double v : row)
      sum += v * v;
    for (double &v : row)
      v /= std::max(std::sqrt(sum), 1e-12);
    return row;
  }));
}

TEST(HalideRows, LogSoftmax) {
  Random random;
  Tensor x = random.normal("f32", {2, 3, 101}, 20);
  x(1, 7) = -INFINITY;
  Tensor y = mapRows(x, [](std::vector<double> row) {
    double most = *std::max_element(row.begin(), row.end()), sum = 0;
    for (double v : row)
      sum += std::exp(v - most);
    for (double &v : row)
      v -= most + std::log(sum);
    return row;
  });
  check("attn.log_softmax %0 outs %1", {&x}, y);
}

TEST(HalideRows, Argmax) {
  Random random;
  for (int64_t columns : {1, 15, 16, 130}) {
    Tensor x = random.integers("f32", {9, columns}, -4, 4), y("i64", {9});
    std::fill_n(x.values.begin(), columns, NAN);
    std::fill_n(x.values.begin() + columns, columns, -INFINITY);
    x(2, columns / 2) = NAN;
    for (int64_t r = 0; r < 9; ++r) {
      double best = -INFINITY;
      for (int64_t c = 0; c < columns; ++c)
        if (x(r, c) > best) {
          best = x(r, c);
          y.values[r] = double(c);
        }
    }
    check("attn.argmax %0 outs %1", {&x}, y, 0);
  }
}

} // namespace
} // namespace attnc::halide
