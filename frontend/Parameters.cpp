//===- Parameters.cpp - The parameters of a built model as a file ---------------------------===//
#include "frontend/Layers.h"
#include "frontend/Problems.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/EndianStream.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

#include <cmath>
#include <zlib.h>

using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {

//===----------------------------------------------------------------------===//
// Safetensors
//===----------------------------------------------------------------------===//

/// Gives the next `values` of a parameter, of which `first` were there before.
using Fill =
    llvm::function_ref<llvm::Error(const ModelParameter &parameter, int64_t first, MutableArrayRef<float> values)>;
constexpr int64_t kBlock = 1 << 20; // values in memory

/// Writes each parameter as `fill` gives it, in order; nothing is written if that fails.
static llvm::Error saveWeights(ArrayRef<ModelParameter> parameters, StringRef path, Fill fill) {
  llvm::json::Object header;
  uint64_t bytes = 0;
  for (const ModelParameter &parameter : parameters) {
    uint64_t size = sizeof(float);
    for (int64_t dim : parameter.shape)
      if (__builtin_mul_overflow(size, uint64_t(dim), &size) || size > INT64_MAX - bytes)
        return fail("parameter " + quoted(parameter.name) + ": expected a shape whose bytes fit 63 bits, got " +
                    shapeText(ArrayRef<int64_t>(parameter.shape)));
    header[parameter.name] =
        llvm::json::Object{{"dtype", "F32"},
                           {"shape", llvm::json::Array(parameter.shape)},
                           {"data_offsets", llvm::json::Array{int64_t(bytes), int64_t(bytes + size)}}};
    bytes += size;
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(header));
  text.resize(llvm::alignTo(text.size(), 8), ' '); // so that data is aligned

  // The file takes its name when it is complete. Not llvm::writeToOutput, which aborts when its function fails (LLVM
  // 22).
  auto cannotWrite = [&](const Twine &why) { return fail("cannot write " + quoted(path) + ": " + why); };
  llvm::Expected<llvm::sys::fs::TempFile> file = llvm::sys::fs::TempFile::create(path + ".%%%%%%");
  if (!file)
    return cannotWrite(llvm::toString(file.takeError()));
  llvm::raw_fd_ostream out(file->FD, /*shouldClose=*/false);
  auto writeAll = [&]() -> llvm::Error {
    llvm::support::endian::Writer writer(out, llvm::endianness::little);
    writer.write(uint64_t(text.size()));
    out << text;
    std::vector<float> values;
    for (const ModelParameter &parameter : parameters)
      for (int64_t first = 0, end = llvm::product_of(parameter.shape); first < end && !out.has_error();
           first += kBlock) {
        values.resize(std::min(kBlock, end - first));
        if (llvm::Error error = fill(parameter, first, values))
          return error;
        writer.write(ArrayRef(values));
      }
    return llvm::Error::success();
  };
  llvm::Error error = writeAll();
  out.flush();
  if (!error && out.has_error())
    error = cannotWrite(out.error().message());
  out.clear_error();
  if (error)
    return llvm::joinErrors(std::move(error), file->discard());
  if (llvm::Error failure = file->keep(path))
    return cannotWrite(llvm::toString(std::move(failure)));
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Initialisers
//===----------------------------------------------------------------------===//

namespace {
/// SplitMix64 (Steele et al. 2014).
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  /// In (0, 1].
  double uniform() { return double((next() >> 11) + 1) * 0x1p-53; }
  /// Box and Muller 1958; one of the two.
  double normal() {
    double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }
};
} // namespace

static void fillInitial(const ModelParameter &parameter, Random &random, int64_t first, MutableArrayRef<float> values) {
  double value = parameter.initializer.value;
  int64_t rows = parameter.shape.front(), columns = parameter.shape.back();
  switch (parameter.initializer.kind) {
  case Initializer::Constant:
    llvm::fill(values, float(value));
    break;
  case Initializer::Normal:
    for (float &x : values)
      x = float(value * random.normal());
    break;
  case Initializer::GlorotUniform: // Glorot and Bengio 2010
    for (float &x : values)
      x = float(std::sqrt(6.0 / double(rows + columns)) * (2 * random.uniform() - 1));
    break;
  case Initializer::Sinusoids:
    for (int64_t i = 0; i < int64_t(values.size()); ++i) {
      int64_t column = (first + i) % columns;
      double angle = double((first + i) / columns) * std::pow(10000, -double(column / 2 * 2) / double(columns));
      values[i] = float(column % 2 ? std::cos(angle) : std::sin(angle));
    }
  }
}

llvm::Error saveInitialWeights(ArrayRef<ModelParameter> parameters, uint64_t seed, StringRef path) {
  Random random{0};
  return saveWeights(parameters, path,
                     [&](const ModelParameter &parameter, int64_t first, MutableArrayRef<float> values) {
                       if (!first)
                         random = {seed ^ llvm::xxh3_64bits(parameter.name)};
                       fillInitial(parameter, random, first, values);
                       return llvm::Error::success();
                     });
}

//===----------------------------------------------------------------------===//
// Trax
//===----------------------------------------------------------------------===//

namespace {
/// What `numpy.save(…, allow_pickle=False)` wrote one after the other into a gzip file: nothing in it is executed.
class NpyReader {
public:
  explicit NpyReader(StringRef path) : path(path), file(gzopen(this->path.c_str(), "rb")) {}
  ~NpyReader() {
    if (file)
      gzclose(file);
  }
  NpyReader(const NpyReader &) = delete;

  bool isOpen() const { return file; }
  llvm::Error problem(const Twine &text) const { return fail(path + ": " + text); }

  /// Reads the header of the next array, which must be `parameter`'s.
  llvm::Error begin(const ModelParameter &parameter) {
    where = "array " + std::to_string(index++) + " (" + parameter.name + "): ";
    char head[10];
    std::string header;
    if (!take(head, sizeof head))
      return cutShort("a .npy array");
    if (StringRef(head, 6) != "\x93NUMPY" || head[6] != 1)
      return problem(where + "expected a .npy array of version 1, got something else");
    header.resize(llvm::support::endian::read16le(head + 8));
    if (!take(header.data(), header.size()))
      return cutShort("a whole header");
    auto squeezed = [](auto shape) {
      llvm::erase(shape, 1);
      return shape;
    };
    std::optional<llvm::SmallVector<int64_t, 2>> shape = shapeOf(header);
    if (!StringRef(header).contains("'descr': '<f4'") || !StringRef(header).contains("'fortran_order': False") ||
        !shape)
      return problem(where + "expected f32 in row-major order, got " + quoted(StringRef(header).rtrim()));
    if (squeezed(*shape) != squeezed(parameter.shape))
      return problem(where + "expected shape " + shapeText(ArrayRef<int64_t>(parameter.shape)) + ", got " +
                     shapeText(ArrayRef<int64_t>(*shape)));
    return llvm::Error::success();
  }

  llvm::Error read(MutableArrayRef<float> values) {
    if (!take(values.data(), values.size() * sizeof(float)))
      return cutShort("all its numbers");
    for (float &value : values)
      value = llvm::support::endian::read<float>(&value, llvm::endianness::little);
    return llvm::Error::success();
  }

  /// Fails unless everything was read, and the sum at the end of the file is right.
  llvm::Error end(size_t arrays) {
    char byte;
    if (take(&byte, 1))
      return problem("expected " + Twine(arrays) + " arrays, got more");
    where.clear();
    return isDamaged() ? cutShort("the end of a gzip file") : llvm::Error::success();
  }

private:
  bool isDamaged() {
    int code;
    gzerror(file, &code);
    return code != Z_OK && code != Z_STREAM_END;
  }
  llvm::Error cutShort(const Twine &expected) {
    return problem(where + "expected " + expected + ", got " +
                   (isDamaged() ? "damaged or cut gzip data" : "the end of the file"));
  }

  bool take(void *to, size_t bytes) {
    for (size_t done = 0; done < bytes;) { // gzread takes an unsigned
      int got = gzread(file, static_cast<char *>(to) + done, unsigned(std::min<size_t>(bytes - done, 1 << 30)));
      if (got <= 0)
        return false;
      done += got;
    }
    return true;
  }

  /// Of "… 'shape': (3, 4), …".
  static std::optional<llvm::SmallVector<int64_t, 2>> shapeOf(StringRef header) {
    auto [before, after] = header.split("'shape': (");
    StringRef text = after.split(')').first;
    if (text.size() == after.size()) // no shape, or none that ends
      return std::nullopt;
    llvm::SmallVector<int64_t, 2> shape;
    llvm::SmallVector<StringRef> parts;
    text.split(parts, ',', -1, /*KeepEmpty=*/false);
    for (StringRef part : parts)
      if (part.trim().getAsInteger(10, shape.emplace_back()) || shape.back() < 0)
        return std::nullopt;
    return shape;
  }

  std::string path, where; // of the array that is being read
  gzFile file;
  int64_t index = 0;
};
} // namespace

llvm::Error saveTraxWeights(ArrayRef<ModelParameter> parameters, StringRef traxFile, StringRef path) {
  NpyReader reader(traxFile);
  if (!reader.isOpen())
    return fail("cannot open " + quoted(traxFile));
  auto fill = [&](const ModelParameter &parameter, int64_t first, MutableArrayRef<float> values) -> llvm::Error {
    if (!first)
      if (llvm::Error error = reader.begin(parameter))
        return error;
    if (llvm::Error error = reader.read(values))
      return error;
    bool isLast =
        &parameter == &parameters.back() && first + int64_t(values.size()) == llvm::product_of(parameter.shape);
    return isLast ? reader.end(parameters.size()) : llvm::Error::success();
  };
  return saveWeights(parameters, path, fill);
}

} // namespace attnc
