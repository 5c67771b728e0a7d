//===- Weights.cpp - Packing a checkpoint's tensors into the weights segment ----------------===//
#include "backends/Weights.h"
#include "backends/Convert.h"
#include "frontend/Safetensors.h"
#include "runtime/attn_abi.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Parallel.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <memory>
#include <unistd.h>

namespace attnc {
using namespace mlir;
using attn::kPanel;

static llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

static std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (auto [i, size] : llvm::enumerate(shape))
    text += (i ? ", " : "") + std::to_string(size);
  return text + "]";
}

/// The stored type that needs no conversion to `type`, or Other.
static DType sameType(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    if (integer.isUnsigned())
      return integer.getWidth() == 8 ? DType::U8 : DType::Other;
    switch (integer.getWidth()) {
    case 64: return DType::I64;
    case 32: return DType::I32;
    case 16: return DType::I16;
    case 8: return DType::I8;
    default: return DType::Other;
    }
  }
  return type.isF64() ? DType::F64 : type.isF32() ? DType::F32 : type.isBF16() ? DType::BF16
         : type.isF16()                                                       ? DType::F16
                                                                              : DType::Other;
}

/// Shape of a source of the parameter.
static SmallVector<int64_t> sourceShape(const Parameter &parameter, size_t source) {
  int64_t part = parameter.parts[source % parameter.parts.size()];
  SmallVector<int64_t> shape(parameter.type.getShape().drop_front(parameter.experts ? 1 : 0));
  if (parameter.panels)
    shape = parameter.transposed ? SmallVector<int64_t>{part, parameter.k} : SmallVector<int64_t>{parameter.k, part};
  else if (parameter.parts.size() > 1 && !shape.empty())
    shape[0] = part;
  if (parameter.experts && !parameter.stacked)
    shape.insert(shape.begin(), parameter.experts);
  return shape;
}

/// The name of the source that holds a part of an expert.
static const std::string &sourceOf(const Parameter &parameter, int64_t expert, size_t part) {
  return parameter.sources[parameter.stacked ? expert * parameter.parts.size() + part : part];
}

llvm::Error checkWeights(ArrayRef<Parameter> parameters, const WeightSet &weights) {
  for (const Parameter &parameter : parameters) {
    int64_t sum = 0;
    for (auto [source, name] : llvm::enumerate(parameter.sources)) {
      std::optional<TensorView> tensor = weights.find(name);
      if (!tensor)
        return fail("parameter '" + name + "': expected a tensor of that name in the weights, got none");
      SmallVector<int64_t> shape = sourceShape(parameter, source);
      if (ArrayRef<int64_t>(tensor->shape) != ArrayRef<int64_t>(shape))
        return fail("parameter '" + name + "': expected " + shapeText(shape) + ", got " + shapeText(tensor->shape) +
                    " in " + tensor->file);
      Type type = parameter.type.getElementType();
      bool convertible = isFloat(tensor->dtype) && (type.isF32() || type.isBF16() || type.isF16());
      bool same = tensor->dtype != DType::Other && tensor->dtype == sameType(type) && tensor->isContiguous();
      if (!convertible && !same)
        return fail("parameter '" + name + "': expected a type that converts to the model's, got " +
                    llvm::StringRef(tensor->dtypeName) + " in " + tensor->file);
    }
    for (int64_t part : parameter.parts)
      sum += part;
    // Plain tensors are joined along their first dimension: biases, and [N, K] rows.
    ArrayRef<int64_t> shape = parameter.type.getShape().drop_front(parameter.experts ? 1 : 0);
    if (!parameter.panels && parameter.parts.size() > 1 && (shape.empty() || sum != shape[0]))
      return fail("parameter '" + parameter.sources[0] + "': expected parts that make up its first dimension");
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

/// An element of a mapped file, which need not be aligned.
template <typename T> static T loadAt(const char *data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * (int64_t)sizeof(T), sizeof(T));
  return value;
}

/// Where element (k, j) of a packed panel lies: [K][16], or [⌈K/2⌉][16][2] for 16-bit types.
template <typename To> static int64_t panelIndex(int64_t k, int64_t j) {
  return sizeof(To) == 2 ? k / 2 * 2 * kPanel + 2 * j + k % 2 : k * kPanel + j;
}

/// Columns `first` … `first + count` of a weight [K, N] ([N, K] if transposed) to panel columns `column` …
/// of `out`, `panelSize` elements per panel. Columns outside the source stay as they are. The weight begins at `firstRow` of
/// the tensor.
template <typename To, typename From>
static void packColumns(const TensorView &tensor, int64_t firstRow, int64_t k, bool transposed, int64_t first, int64_t count,
                        int64_t column, int64_t panelSize, To *out) {
  if (transposed) {
    // Both sides sequential enough: 16 rows of the source make one panel, blocks of k keep it in the L1 cache.
    constexpr int64_t kBlock = 64;
    for (int64_t k0 = 0; k0 < k; k0 += kBlock)
      for (int64_t c = 0; c < count; ++c) {
        To *panel = out + (column + c) / kPanel * panelSize;
        const char *row = tensor.row(firstRow + first + c);
        for (int64_t i = k0, end = std::min(k, k0 + kBlock); i < end; ++i)
          panel[panelIndex<To>(i, (column + c) % kPanel)] = convert<To>(loadAt<From>(row, tensor.columns.at(i)));
      }
    return;
  }
  for (int64_t i = 0; i < k; ++i) {
    const char *row = tensor.row(firstRow + i);
    for (int64_t c = 0; c < count;) {
      int64_t j = (column + c) % kPanel, run = std::min(kPanel - j, count - c);
      To *panel = out + (column + c) / kPanel * panelSize;
      for (int64_t r = 0; r < run; ++r)
        panel[panelIndex<To>(i, j + r)] = convert<To>(loadAt<From>(row, tensor.columns.at(first + c + r)));
      c += run;
    }
  }
}

template <typename To>
static void packColumns(const TensorView &tensor, int64_t firstRow, int64_t k, bool transposed, int64_t first, int64_t count,
                        int64_t column, int64_t panelSize, To *out) {
  switch (tensor.dtype) {
  case DType::F64: return packColumns<To, double>(tensor, firstRow, k, transposed, first, count, column, panelSize, out);
  case DType::F32: return packColumns<To, float>(tensor, firstRow, k, transposed, first, count, column, panelSize, out);
  case DType::BF16: return packColumns<To, BFloat16>(tensor, firstRow, k, transposed, first, count, column, panelSize, out);
  case DType::F16: return packColumns<To, Float16>(tensor, firstRow, k, transposed, first, count, column, panelSize, out);
  default: llvm_unreachable("refused by checkWeights");
  }
}

/// Panels first … first + count of one expert, or of a weight without experts.
template <typename To>
static void packPanelsAs(const Parameter &parameter, const WeightSet &weights, int64_t expert, int64_t first, int64_t count,
                         To *out) {
  int64_t k = parameter.k, panelSize = (sizeof(To) == 2 ? llvm::alignTo(k, 2) : k) * kPanel;
  int64_t begin = first * kPanel, end = (first + count) * kPanel; // columns of the joined weight
  if (end > parameter.n || k % 2 != 0) // padding: columns beyond N, the odd row of a pair
    std::memset(out, 0, sizeof(To) * panelSize * count);
  int64_t partBegin = 0;
  for (auto [part, n] : llvm::enumerate(parameter.parts)) {
    int64_t from = std::max(begin, partBegin), to = std::min(end, partBegin + n);
    int64_t firstRow = parameter.stacked ? 0 : expert * (parameter.transposed ? n : k);
    if (from < to)
      packColumns<To>(*weights.find(sourceOf(parameter, expert, part)), firstRow, k, parameter.transposed,
                      from - partBegin, to - from, from - begin, panelSize, out);
    partBegin += n;
  }
}

void packPanels(const Parameter &parameter, const WeightSet &weights, int64_t first, int64_t count, char *out) {
  Type type = parameter.type.getElementType();
  int64_t panels = llvm::divideCeil(parameter.n, kPanel);
  int64_t panelBytes = llvm::alignTo(parameter.k, type.isF32() ? 1 : 2) * kPanel * (type.getIntOrFloatBitWidth() / 8);
  while (count > 0) { // expert by expert
    int64_t expert = first / panels, firstOfExpert = first % panels, some = std::min(count, panels - firstOfExpert);
    auto pack = [&](auto *to) { packPanelsAs(parameter, weights, expert, firstOfExpert, some, to); };
    if (type.isF32())
      pack(reinterpret_cast<float *>(out));
    else if (type.isBF16())
      pack(reinterpret_cast<BFloat16 *>(out));
    else
      pack(reinterpret_cast<Float16 *>(out));
    first += some;
    count -= some;
    out += some * panelBytes;
  }
}

/// `count` elements from `first` of a tensor, converted, row-major.
template <typename To> static void convertElements(const TensorView &tensor, int64_t first, int64_t count, char *out) {
  auto run = [&](auto zero) {
    using From = decltype(zero);
    for (int64_t i = 0; i < count; ++i) {
      To value = convert<To>(loadAt<From>(tensor.data.data(), tensor.storedIndex(first + i)));
      std::memcpy(out + i * (int64_t)sizeof(To), &value, sizeof(To));
    }
  };
  switch (tensor.dtype) {
  case DType::F64: return run(double());
  case DType::F32: return run(float());
  case DType::BF16: return run(BFloat16());
  case DType::F16: return run(Float16());
  default: llvm_unreachable("refused by checkWeights");
  }
}

static void copyElements(const TensorView &tensor, Type type, int64_t first, int64_t count, char *out) {
  int64_t bytes = type.getIntOrFloatBitWidth() / 8;
  if (tensor.dtype == sameType(type) && tensor.isContiguous())
    std::memcpy(out, tensor.data.data() + first * bytes, count * bytes);
  else if (type.isF32())
    convertElements<float>(tensor, first, count, out);
  else if (type.isBF16())
    convertElements<BFloat16>(tensor, first, count, out);
  else
    convertElements<Float16>(tensor, first, count, out);
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

namespace {
constexpr int64_t kChunk = 8 << 20; // bytes packed before they are hashed and written

/// Writes bytes in order and hashes all after the header.
class SegmentWriter {
public:
  SegmentWriter(int fd, uint64_t start) : fd(fd), start(start) { XXH3_64bits_reset(&state); }

  llvm::Error append(const char *data, uint64_t bytes) {
    XXH3_64bits_update(&state, data, bytes);
    llvm::Error error = writeAt(position, data, bytes);
    position += bytes;
    return error;
  }

  /// Zeros up to `end`.
  llvm::Error fill(uint64_t end) {
    static const char zeros[4096] = {};
    while (position < end)
      if (llvm::Error error = append(zeros, std::min<uint64_t>(sizeof zeros, end - position)))
        return error;
    return llvm::Error::success();
  }

  llvm::Error writeAt(uint64_t offset, const char *data, uint64_t bytes) {
    while (bytes) {
      ssize_t written = ::pwrite(fd, data, bytes, (off_t)(start + offset));
      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        return fail("could not write the weights: " +
                    llvm::Twine(written == 0 ? "no space" : std::strerror(errno)));
      data += written;
      offset += written;
      bytes -= written;
    }
    return llvm::Error::success();
  }

  uint64_t hash() const { return XXH3_64bits_digest(&state); }
  uint64_t at() const { return position; }

private:
  int fd;
  uint64_t start, position = sizeof(attn_weights_header);
  XXH3_state_t state;
};
} // namespace

static llvm::Error writePanels(const Parameter &parameter, const WeightSet &weights, char *buffer,
                               SegmentWriter &writer) {
  int64_t panels = parameter.type.getDimSize(0) * (parameter.experts ? parameter.type.getDimSize(1) : 1);
  int64_t panelBytes = parameter.type.getNumElements() / panels * (parameter.type.getElementTypeBitWidth() / 8);
  // Groups of 16 panels read 256 neighbouring columns: whole cache lines and few pages of a [K, N] source at a time.
  int64_t perChunk = std::max<int64_t>(1, kChunk / panelBytes), perTask = std::min<int64_t>(16, perChunk);
  std::unique_ptr<char[]> large; // one panel of a very long K
  if (panelBytes > kChunk) {
    large.reset(new char[panelBytes]);
    buffer = large.get();
  }
  for (int64_t first = 0; first < panels; first += perChunk) {
    int64_t count = std::min(perChunk, panels - first);
    llvm::parallelFor(0, llvm::divideCeil(count, perTask), [&](size_t task) {
      int64_t begin = task * perTask;
      packPanels(parameter, weights, first + begin, std::min(perTask, count - begin), buffer + begin * panelBytes);
    });
    if (llvm::Error error = writer.append(buffer, count * panelBytes))
      return error;
  }
  return llvm::Error::success();
}

static llvm::Error writePlain(const Parameter &parameter, const WeightSet &weights, char *buffer,
                              SegmentWriter &writer) {
  Type type = parameter.type.getElementType();
  int64_t bytes = type.getIntOrFloatBitWidth() / 8, perChunk = kChunk / bytes;
  for (int64_t expert = 0; expert < std::max<int64_t>(parameter.experts, 1); ++expert)
    for (auto [part, n] : llvm::enumerate(parameter.parts)) {
      TensorView tensor = *weights.find(sourceOf(parameter, expert, part));
      bool isShared = parameter.experts && !parameter.stacked; // [experts, n]
      int64_t first = isShared ? expert * n : 0, end = isShared ? first + n : int64_t(tensor.elements());
      for (; first < end; first += perChunk) {
        int64_t count = std::min(perChunk, end - first);
        copyElements(tensor, type, first, count, buffer);
        if (llvm::Error error = writer.append(buffer, count * bytes))
          return error;
      }
    }
  return llvm::Error::success();
}

llvm::Error writeWeights(int fd, uint64_t start, uint64_t bytes, StringRef buildId, ArrayRef<Parameter> parameters,
                         const WeightSet &weights, const std::atomic<bool> *cancelled) {
  if (bytes < sizeof(attn_weights_header))
    return fail("expected a weights segment of at least 64 bytes, got " + llvm::Twine(bytes));
  std::unique_ptr<char[]> buffer(new char[kChunk]);
  SegmentWriter writer(fd, start);
  for (const Parameter &parameter : parameters) {
    if (cancelled && *cancelled)
      return fail("cancelled");
    if (llvm::Error error = writer.fill(parameter.offset))
      return error;
    if (llvm::Error error = (parameter.panels ? writePanels : writePlain)(parameter, weights, buffer.get(), writer))
      return error;
  }
  if (llvm::Error error = writer.fill(bytes))
    return error;
  attn_weights_header header = {};
  header.magic = ATTN_WEIGHTS_MAGIC;
  header.bytes = bytes;
  std::memcpy(header.build_id, buildId.data(), std::min(buildId.size(), sizeof header.build_id));
  header.hash = writer.hash();
  return writer.writeAt(0, reinterpret_cast<const char *>(&header), sizeof header);
}

} // namespace attnc
