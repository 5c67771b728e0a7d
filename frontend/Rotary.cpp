//===- Rotary.cpp - Rotary position embeddings as configurations describe them ------------===//
#include "frontend/Rotary.h"

#include <cmath>

using llvm::StringRef;
using llvm::Twine;

namespace attnc {

namespace {
constexpr double kMaxFactor = 1e6;
constexpr int64_t kMaxContext = INT32_MAX;

/// Reads one kind of scaling into `rotary`, whose frequencies are those without.
struct Scaling {
  Config &config;
  std::string layerType;
  bool scaled;
  int64_t context;
  double theta;
  Rotary &rotary;

  /// `name` in each object that may hold it.
  std::string keys(StringRef name) const {
    std::string text;
    if (!layerType.empty())
      text = "rope_parameters." + layerType + "." + name.str() + "|";
    text += "rope_parameters." + name.str();
    return scaled ? text + "|rope_scaling." + name.str() : text;
  }
  double factor() const { return config.number(keys("factor"), 1e-3, kMaxFactor); }
  int64_t original() const {
    return config.integer("original_max_position_embeddings|" + keys("original_max_position_embeddings"), 1, kMaxContext,
                          context);
  }

  void linear() const {
    double by = factor();
    for (double &f : rotary.frequencies)
      f /= by;
  }

  void dynamic() const {
    rotary.ntkFactor = factor();
    rotary.longFrom = context;
    if (rotary.frequencies.size() < 2)
      config.problem("expected more than two rotated values per head with dynamic rotary scaling, got 2");
  }

  void llama3() const {
    double by = factor(), low = config.number(keys("low_freq_factor"), 1e-3, kMaxFactor),
           high = config.number(keys("high_freq_factor"), 1e-3, kMaxFactor), length = double(original());
    if (high <= low)
      config.problem("expected 'high_freq_factor' above 'low_freq_factor'");
    for (double &f : rotary.frequencies) {
      double turns = length * f / (2 * M_PI); // over the original context
      double smooth = std::clamp((turns - low) / (high - low), 0.0, 1.0);
      f = (1 - smooth) * f / by + smooth * f;
    }
  }

  void yarn() const {
    int64_t length = original(), count = rotary.frequencies.size();
    double by = config.number(keys("factor"), 1e-3, kMaxFactor, double(context) / double(length));
    double fast = config.number(keys("beta_fast"), 0, kMaxFactor, 32), slow = config.number(keys("beta_slow"), 0, kMaxFactor, 1);
    if (fast == 0)
      fast = 32;
    if (slow == 0)
      slow = 1;
    // The pair that makes `turns` turns over the original context.
    auto pairOf = [&](double turns) {
      return double(count) * std::log(double(length) / (turns * 2 * M_PI)) / std::log(theta);
    };
    double first = pairOf(fast), last = pairOf(slow);
    if (config.flag(keys("truncate"), true)) {
      first = std::floor(first);
      last = std::ceil(last);
    }
    first = std::max(first, 0.0);
    last = std::min(last, double(2 * count - 1));
    if (first == last)
      last += 0.001;
    for (auto [i, f] : llvm::enumerate(rotary.frequencies)) {
      double ramp = std::clamp((double(i) - first) / (last - first), 0.0, 1.0); // 0: as it is, 1: interpolated
      f = f / by * ramp + f * (1 - ramp);
    }
    auto magnitude = [&](double m) { return by <= 1 ? 1.0 : 0.1 * m * std::log(by) + 1; };
    double m = config.number(keys("mscale"), 0, kMaxFactor, 0), all = config.number(keys("mscale_all_dim"), 0, kMaxFactor, 0);
    rotary.scale = config.number(keys("attention_factor"), 0, kMaxFactor,
                                 m && all ? magnitude(m) / magnitude(all) : magnitude(1));
  }

  void longrope() const {
    int64_t length = original();
    size_t count = rotary.frequencies.size();
    std::vector<double> brief = config.numbers(keys("short_factor"), count, 1e-3, kMaxFactor);
    std::vector<double> extended = config.numbers(keys("long_factor"), count, 1e-3, kMaxFactor);
    double by = config.number(keys("factor"), 1e-3, kMaxFactor, double(context) / double(length));
    double magnitude = by <= 1 || length == 1 ? 1.0 : std::sqrt(1 + std::log(by) / std::log(double(length)));
    rotary.scale = config.number(keys("attention_factor"), 0, kMaxFactor, magnitude);
    rotary.longFrom = length;
    for (size_t i = 0; i < count; ++i) {
      rotary.longFrequencies.push_back(rotary.frequencies[i] / extended[i]);
      rotary.frequencies[i] /= brief[i];
    }
  }
};
} // namespace

Rotary readRotary(Config &config, int64_t headDim, int64_t context, const RotaryKeys &names) {
  Rotary rotary;
  Scaling scaling{config, names.layerType.str(), names.scaled, context, 0, rotary};
  scaling.theta = config.number(scaling.keys("rope_theta") + "|" + names.thetaKeys.str(), 1.0001, 1e12, names.theta);
  double fraction = config.number(scaling.keys("partial_rotary_factor") + "|partial_rotary_factor|rotary_pct", 0, 1,
                                  names.fraction);
  int64_t rotated = int64_t(double(headDim) * fraction);
  if (rotated < 2 || rotated % 2 != 0) {
    config.problem("expected an even number of rotated values per head, at least 2, got " + Twine(rotated));
    rotated = 2;
  }
  for (int64_t i = 0; i < rotated / 2; ++i)
    rotary.frequencies.push_back(std::pow(scaling.theta, -2.0 * double(i) / double(rotated)));

  std::string typeKeys = scaling.keys("rope_type") + "|" + scaling.keys("type");
  StringRef type = config.string(typeKeys, "default");
  if (type == "linear")
    scaling.linear();
  else if (type == "dynamic")
    scaling.dynamic();
  else if (type == "llama3")
    scaling.llama3();
  else if (type == "yarn")
    scaling.yarn();
  else if (type == "longrope" || type == "su") // its name in the first Phi-3 checkpoints
    scaling.longrope();
  else if (type != "default")
    config.problem("expected 'rope_type' to be one of default, dynamic, linear, llama3, longrope, yarn, got " + quoted(type));
  return rotary;
}

} // namespace attnc
