// Packing and conversion of weights against a naive reference.
#include "backends/Convert.h"
#include "backends/Weights.h"
#include "frontend/Safetensors.h"
#include "runtime/attn_abi.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmath>
#include <random>

using namespace attnc;

namespace {

//===----------------------------------------------------------------------===//
// Naive conversion: try all neighbours
//===----------------------------------------------------------------------===//

/// Value of 16 bits with `exponentBits`, in double.
double valueOf(uint16_t bits, int exponentBits) {
  int mantissaBits = 15 - exponentBits, bias = (1 << (exponentBits - 1)) - 1;
  int exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1), mantissa = bits & ((1 << mantissaBits) - 1);
  double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponentBits) - 1)
    return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0)
    return sign * std::ldexp(mantissa, 1 - bias - mantissaBits);
  return sign * std::ldexp(mantissa + (1 << mantissaBits), exponent - bias - mantissaBits);
}

/// Nearest, ties to the even mantissa, by bisection over the ordered positive values.
uint16_t nearest(double value, int exponentBits) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0, infinity = ((1 << exponentBits) - 1) << (15 - exponentBits);
  double magnitude = std::fabs(value);
  uint16_t low = 0, high = infinity; // valueOf(low) <= magnitude
  while (high - low > 1) {
    uint16_t middle = (low + high) / 2;
    (valueOf(middle, exponentBits) <= magnitude ? low : high) = middle;
  }
  // Infinity stands where the next number would be.
  double below = valueOf(low, exponentBits), step = below - valueOf(low - 1, exponentBits);
  double above = high == infinity ? below + step : valueOf(high, exponentBits);
  double down = magnitude - below, up = above - magnitude;
  if (std::isinf(value))
    return sign | infinity;
  return sign | (down < up || (down == up && low % 2 == 0) ? low : high);
}

std::vector<double> interesting() {
  std::vector<double> values = {0.0, -0.0, 1, -1, 65504, 65519.99, 65520, 65536, 1e30, -1e30, INFINITY, -INFINITY,
                                3.38e38, 3.3961e38, 3.4e38, 1e300, 5.96e-8, 2.98e-8, 2.99e-8, 6.1e-5, 1e-40, 1e-300};
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    double value = std::ldexp(1 + std::uniform_real_distribution<>()(random), int(random() % 60) - 30);
    values.push_back(random() % 2 ? value : -value);
  }
  for (int bits = 0; bits < 0x7c00; bits += 7) { // exact ties of f16, and just beside them
    double a = valueOf(bits, 5), b = valueOf(bits + 1, 5), middle = std::isinf(b) ? 65520 : (a + b) / 2;
    values.insert(values.end(), {a, middle, std::nextafter(middle, 0), std::nextafter(middle, 1e9)});
  }
  for (int bits = 0x80; bits < 0x7f80; bits += 13) { // and of bf16
    double a = valueOf(bits, 8), middle = (a + valueOf(bits + 1, 8)) / 2;
    if (std::isfinite(middle))
      values.insert(values.end(), {a, middle, std::nextafter(middle, 0), std::nextafter(middle, 1e39)});
  }
  return values;
}

TEST(Convert, FromDouble) {
  for (double value : interesting()) {
    ASSERT_EQ(convert<BFloat16>(value).bits, nearest(value, 8)) << value;
    ASSERT_EQ(convert<Float16>(value).bits, nearest(value, 5)) << value;
    ASSERT_EQ(bitsOf(convert<float>(value)), bitsOf((float)value)) << value;
  }
}

TEST(Convert, FromFloat) {
  for (double wide : interesting()) {
    float value = (float)wide;
    ASSERT_EQ(convert<BFloat16>(value).bits, nearest(value, 8)) << value;
    ASSERT_EQ(convert<Float16>(value).bits, nearest(value, 5)) << value;
  }
}

TEST(Convert, From16Bits) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    double f16 = valueOf(bits, 5), bf16 = valueOf(bits, 8);
    float gotF16 = toFloat(Float16{(uint16_t)bits}), gotBF16 = toFloat(BFloat16{(uint16_t)bits});
    if (std::isnan(f16)) {
      ASSERT_TRUE(std::isnan(gotF16)) << bits;
      ASSERT_TRUE(std::isnan(toFloat(convert<Float16>(gotF16)))) << bits;
    } else {
      ASSERT_EQ(bitsOf(gotF16), bitsOf((float)f16)) << bits;
      ASSERT_EQ(convert<Float16>(gotF16).bits, bits);
    }
    if (std::isnan(bf16)) {
      ASSERT_TRUE(std::isnan(gotBF16)) << bits;
      ASSERT_TRUE(std::isnan(toFloat(convert<BFloat16>(gotBF16)))) << bits;
    } else {
      ASSERT_EQ(bitsOf(gotBF16), bits << 16);
      ASSERT_EQ(convert<BFloat16>(gotBF16).bits, bits);
    }
  }
}

TEST(Convert, NaN) {
  for (uint32_t bits : {0x7fc00000u, 0x7f800001u, 0xff800001u, 0x7fffffffu}) {
    EXPECT_TRUE(std::isnan(toFloat(convert<Float16>(floatOf(bits)))));
    EXPECT_TRUE(std::isnan(toFloat(convert<BFloat16>(floatOf(bits)))));
  }
  EXPECT_TRUE(std::isnan(toFloat(convert<BFloat16>((double)NAN))));
}

//===----------------------------------------------------------------------===//
// A checkpoint in memory
//===----------------------------------------------------------------------===//

struct Source {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::vector<double> values; ///< as rounded to dtype
};

struct Checkpoint {
  std::vector<Source> sources;
  std::mt19937_64 random{7};

  static unsigned width(const std::string &dtype) { return dtype == "F64" ? 8 : dtype == "F32" ? 4 : 2; }

  const Source &add(const std::string &name, const std::string &dtype, std::vector<int64_t> shape) {
    Source source{name, dtype, shape, {}};
    int64_t count = 1;
    for (int64_t size : shape)
      count *= size;
    for (int64_t i = 0; i < count; ++i) {
      double value = std::normal_distribution<>()(random);
      source.values.push_back(dtype == "F64"   ? value
                              : dtype == "F32" ? (float)value
                                               : valueOf(nearest(value, dtype == "F16" ? 5 : 8), dtype == "F16" ? 5 : 8));
    }
    sources.push_back(source);
    return sources.back();
  }

  WeightSet weights() const {
    std::string header = "{", data;
    for (const Source &source : sources) {
      size_t begin = data.size();
      for (double value : source.values) {
        float narrow = (float)value;
        uint16_t bits = nearest(value, source.dtype == "F16" ? 5 : 8);
        const void *bytes = source.dtype == "F64" ? (const void *)&value : source.dtype == "F32" ? (const void *)&narrow : &bits;
        data.append((const char *)bytes, width(source.dtype));
      }
      header += (header.size() > 1 ? ",\"" : "\"") + source.name + "\":{\"dtype\":\"" + source.dtype + "\",\"shape\":[";
      for (size_t i = 0; i < source.shape.size(); ++i)
        header += (i ? "," : "") + std::to_string(source.shape[i]);
      header += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
    }
    header += "}";
    uint64_t size = header.size();
    std::string file((const char *)&size, 8);
    WeightSet set;
    llvm::Error error = set.add(llvm::MemoryBuffer::getMemBufferCopy(file + header + data, "test.safetensors"));
    EXPECT_FALSE((bool)error) << llvm::toString(std::move(error));
    return set;
  }
};

struct Weights : testing::Test {
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::Type type(const std::string &name) {
    return name == "F32"    ? mlir::Type(mlir::Float32Type::get(&context))
           : name == "BF16" ? mlir::Type(mlir::BFloat16Type::get(&context))
                            : mlir::Type(mlir::Float16Type::get(&context));
  }
  Parameter panels(std::vector<std::string> names, std::vector<int64_t> parts, int64_t k, bool transposed,
                   mlir::Type element) {
    Parameter p;
    p.sources = names;
    p.parts.assign(parts.begin(), parts.end());
    p.panels = true;
    p.transposed = transposed;
    p.k = k;
    for (int64_t part : parts)
      p.n += part;
    p.type = mlir::RankedTensorType::get(attn::packedShape(k, p.n, element), element);
    p.offset = 64;
    return p;
  }
  std::string check(Parameter p, const Checkpoint &checkpoint) {
    WeightSet set = checkpoint.weights();
    return llvm::toString(checkWeights(p, set));
  }
};

/// Element (k, j) of panel p as bits, or as f32 bits.
uint32_t packedAt(const std::vector<char> &bytes, const Parameter &parameter, int64_t p, int64_t k, int64_t j) {
  if (parameter.type.getElementType().isF32()) {
    uint32_t bits;
    std::memcpy(&bits, &bytes[4 * ((p * parameter.k + k) * 16 + j)], 4);
    return bits;
  }
  uint16_t bits;
  int64_t pairs = (parameter.k + 1) / 2;
  std::memcpy(&bits, &bytes[2 * (((p * pairs + k / 2) * 16 + j) * 2 + k % 2)], 2);
  return bits;
}

uint32_t expectedBits(double value, mlir::Type type) {
  return type.isF32() ? bitsOf((float)value) : nearest(value, type.isBF16() ? 8 : 5);
}

TEST_F(Weights, PanelsOfAllTypes) {
  for (std::string from : {"F64", "F32", "BF16", "F16"})
    for (std::string to : {"F32", "BF16", "F16"})
      for (bool transposed : {false, true})
        for (auto [k, n] : {std::pair<int64_t, int64_t>{1, 1}, {3, 17}, {8, 16}, {65, 50}, {64, 33}}) {
          SCOPED_TRACE(from + " to " + to + (transposed ? " [N, K] " : " [K, N] ") + std::to_string(k) + "x" + std::to_string(n));
          Checkpoint checkpoint;
          const Source source = checkpoint.add("w", from, transposed ? std::vector<int64_t>{n, k} : std::vector<int64_t>{k, n});
          Parameter parameter = panels({"w"}, {n}, k, transposed, type(to));
          WeightSet set = checkpoint.weights();
          ASSERT_FALSE((bool)checkWeights(parameter, set));
          int64_t count = parameter.type.getDimSize(0), width = to == "F32" ? 4 : 2;
          std::vector<char> bytes(parameter.type.getNumElements() * width, 'x');
          packPanels(parameter, set, 0, count, bytes.data());
          int64_t padded = to == "F32" ? k : (k + 1) / 2 * 2;
          for (int64_t p = 0; p < count; ++p)
            for (int64_t i = 0; i < padded; ++i)
              for (int64_t j = 0; j < 16; ++j) {
                int64_t column = 16 * p + j;
                uint32_t want = column < n && i < k ? expectedBits(source.values[transposed ? column * k + i : i * n + column], type(to)) : 0;
                ASSERT_EQ(packedAt(bytes, parameter, p, i, j), want) << "k " << i << ", column " << column;
              }
        }
}

/// Several sources joined along N, packed panel by panel: parts begin in the middle of a panel.
TEST_F(Weights, JoinedPanels) {
  for (bool transposed : {false, true}) {
    Checkpoint checkpoint;
    std::vector<int64_t> parts = {20, 5, 30};
    std::vector<std::vector<double>> columns; // of the joined weight
    std::vector<std::string> names;
    for (int64_t n : parts) {
      names.push_back("w" + std::to_string(names.size()));
      const Source &source = checkpoint.add(names.back(), "F32", transposed ? std::vector<int64_t>{n, 7} : std::vector<int64_t>{7, n});
      for (int64_t c = 0; c < n; ++c) {
        columns.emplace_back();
        for (int64_t k = 0; k < 7; ++k)
          columns.back().push_back(source.values[transposed ? c * 7 + k : k * n + c]);
      }
    }
    Parameter parameter = panels(names, parts, 7, transposed, type("BF16"));
    WeightSet set = checkpoint.weights();
    ASSERT_FALSE((bool)checkWeights(parameter, set));
    for (int64_t p = 0; p < 4; ++p) {
      std::vector<char> bytes(8 * 16 * 2, 'x');
      packPanels(parameter, set, p, 1, bytes.data());
      for (int64_t k = 0; k < 8; ++k)
        for (int64_t j = 0; j < 16; ++j) {
          int64_t column = 16 * p + j;
          uint32_t want = column < 55 && k < 7 ? nearest(columns[column][k], 8) : 0;
          ASSERT_EQ(packedAt(bytes, parameter, 0, k, j), want);
        }
    }
  }
}

/// Experts in one tensor, or in tensors of their own, each joined of two parts; ranges of panels that cross experts.
TEST_F(Weights, Experts) {
  for (bool transposed : {false, true})
    for (bool stacked : {false, true}) {
      Checkpoint checkpoint;
      const int64_t experts = 3, k = 7, parts[] = {20, 5}, n = 25, panelsOfOne = 2;
      std::vector<std::string> names;
      std::vector<double> values(experts * n * k); // [experts, N, K]
      for (int64_t e = 0; e < (stacked ? experts : 1); ++e)
        for (int64_t part = 0, first = 0; part < 2; first += parts[part++]) {
          names.push_back("w" + std::to_string(names.size()));
          std::vector<int64_t> shape = transposed ? std::vector<int64_t>{parts[part], k} : std::vector<int64_t>{k, parts[part]};
          if (!stacked)
            shape.insert(shape.begin(), experts);
          const Source &source = checkpoint.add(names.back(), "F32", shape);
          for (size_t i = 0; i < source.values.size(); ++i) {
            int64_t size = parts[part] * k, at = i % size;
            int64_t column = transposed ? at / k : at % parts[part], row = transposed ? at % k : at / parts[part];
            values[((stacked ? e : i / size) * n + first + column) * k + row] = source.values[i];
          }
        }
      Parameter parameter = panels({}, {20, 5}, k, transposed, type("F16"));
      parameter.sources = names;
      parameter.experts = experts;
      parameter.stacked = stacked;
      llvm::SmallVector<int64_t> shape = attn::packedShape(k, n, type("F16"));
      shape.insert(shape.begin(), experts);
      parameter.type = mlir::RankedTensorType::get(shape, type("F16"));
      WeightSet set = checkpoint.weights();
      ASSERT_EQ(llvm::toString(checkWeights(parameter, set)), "");
      for (auto [first, count] : {std::pair<int64_t, int64_t>{0, 6}, {1, 4}, {5, 1}}) {
        std::vector<char> bytes(count * 8 * 16 * 2, 'x');
        packPanels(parameter, set, first, count, bytes.data());
        for (int64_t p = 0; p < count; ++p)
          for (int64_t i = 0; i < 8; ++i)
            for (int64_t j = 0; j < 16; ++j) {
              int64_t expert = (first + p) / panelsOfOne, column = (first + p) % panelsOfOne * 16 + j;
              uint32_t want = column < n && i < k ? nearest(values[(expert * n + column) * k + i], 5) : 0;
              ASSERT_EQ(packedAt(bytes, parameter, p, i, j), want);
            }
      }
    }
}

TEST_F(Weights, Segment) {
  Checkpoint checkpoint;
  const Source weight = checkpoint.add("w", "F32", {5, 20}), b0 = checkpoint.add("b0", "BF16", {3}), b1 = checkpoint.add("b1", "F64", {4});
  std::vector<Parameter> parameters = {panels({"w"}, {20}, 5, false, type("F32"))};
  Parameter bias;
  bias.sources = {"b0", "b1"};
  bias.parts = {3, 4};
  bias.type = mlir::RankedTensorType::get({7}, type("F32"));
  bias.offset = 64 + 2 * 5 * 16 * 4 + 64; // a hole before it
  parameters.push_back(bias);
  WeightSet set = checkpoint.weights();
  ASSERT_FALSE((bool)checkWeights(parameters, set));

  llvm::SmallString<64> path;
  int fd;
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("weights", "bin", fd, path));
  const uint64_t start = 4096, bytes = 1024;
  std::string id = "0123456789abcdef0123456789abcdef";
  llvm::Error error = writeWeights(fd, start, bytes, id, parameters, set);
  ASSERT_FALSE((bool)error);
  auto buffer = llvm::MemoryBuffer::getFile(path);
  llvm::sys::fs::remove(path);
  llvm::sys::fs::closeFile(fd);
  ASSERT_TRUE((bool)buffer);
  llvm::StringRef file = (*buffer)->getBuffer();
  ASSERT_EQ(file.size(), start + bytes);
  attn_weights_header header;
  std::memcpy(&header, file.data() + start, sizeof header);
  EXPECT_EQ(header.magic, ATTN_WEIGHTS_MAGIC);
  EXPECT_EQ(header.bytes, bytes);
  EXPECT_EQ(llvm::StringRef(header.build_id, 32), id);
  EXPECT_EQ(header.hash, XXH3_64bits(file.data() + start + 64, bytes - 64));
  std::vector<char> packed(file.begin() + start + 64, file.end());
  EXPECT_EQ(packedAt(packed, parameters[0], 1, 4, 3), bitsOf((float)weight.values[4 * 20 + 19]));
  for (uint64_t i = 64 + 640; i < bias.offset; ++i)
    EXPECT_EQ(file[start + i], 0);
  for (int i = 0; i < 7; ++i) {
    float value;
    std::memcpy(&value, file.data() + start + bias.offset + 4 * i, 4);
    EXPECT_EQ(value, (float)(i < 3 ? b0.values[i] : b1.values[i - 3]));
  }
}

/// Larger than one chunk, so that the writer's loop is exercised: the bytes are those of one packPanels.
TEST_F(Weights, Chunks) {
  Checkpoint checkpoint;
  checkpoint.add("w", "BF16", {1100, 2100});
  Parameter parameter = panels({"w"}, {2100}, 1100, false, type("F32"));
  WeightSet set = checkpoint.weights();
  std::vector<char> want(parameter.type.getNumElements() * 4);
  packPanels(parameter, set, 0, parameter.type.getDimSize(0), want.data());
  llvm::SmallString<64> path;
  int fd;
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("weights", "bin", fd, path));
  ASSERT_FALSE((bool)writeWeights(fd, 0, 64 + want.size(), std::string(32, '0'), parameter, set));
  auto buffer = llvm::MemoryBuffer::getFile(path);
  llvm::sys::fs::remove(path);
  llvm::sys::fs::closeFile(fd);
  ASSERT_TRUE((bool)buffer);
  EXPECT_TRUE((*buffer)->getBuffer().drop_front(64) == llvm::StringRef(want.data(), want.size()));
}

TEST_F(Weights, Errors) {
  Checkpoint checkpoint;
  checkpoint.add("w", "F32", {5, 20});
  EXPECT_EQ(check(panels({"v"}, {20}, 5, false, type("F32")), checkpoint),
            "parameter 'v': expected a tensor of that name in the weights, got none");
  EXPECT_EQ(check(panels({"w"}, {20}, 5, true, type("F32")), checkpoint),
            "parameter 'w': expected [20, 5], got [5, 20] in test.safetensors");
  Parameter plain;
  plain.sources = {"w"};
  plain.parts = {100};
  plain.type = mlir::RankedTensorType::get({5, 20}, mlir::IntegerType::get(&context, 32));
  EXPECT_EQ(check(plain, checkpoint), "parameter 'w': expected a type that converts to the model's, got F32 in test.safetensors");
  plain.type = mlir::RankedTensorType::get({11, 20}, type("F32"));
  plain.sources = {"w", "w"};
  plain.parts = {5, 5};
  EXPECT_EQ(check(plain, checkpoint), "parameter 'w': expected parts that make up its first dimension");
  Parameter experts = panels({"w"}, {20}, 5, false, type("F32"));
  experts.experts = 3;
  EXPECT_EQ(check(experts, checkpoint), "parameter 'w': expected [3, 5, 20], got [5, 20] in test.safetensors");
  llvm::Error error = writeWeights(-1, 0, 10, "", {}, checkpoint.weights());
  EXPECT_EQ(llvm::toString(std::move(error)), "expected a weights segment of at least 64 bytes, got 10");
  error = writeWeights(-1, 0, 128, std::string(32, '0'), {}, checkpoint.weights());
  EXPECT_EQ(llvm::toString(std::move(error)), "could not write the weights: Bad file descriptor");
}

} // namespace
