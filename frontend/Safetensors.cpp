//===- Safetensors.cpp - Validate and read one safetensors file --------------------------===//
#include "frontend/Safetensors.h"

#include "frontend/Problems.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/Endian.h"

#include <cassert>
#include <cstring>

using llvm::StringRef;
using llvm::Twine;

namespace attnc {

namespace {
constexpr uint64_t kMaxHeader = 100'000'000; // as in the reference implementation

struct DTypeRow {
  DType dtype;
  StringRef name;
  unsigned bytes;
  bool isFloat;
};
constexpr DTypeRow dtypes[] = {
    {DType::F64, "F64", 8, true},   {DType::F32, "F32", 4, true},  {DType::F16, "F16", 2, true},
    {DType::BF16, "BF16", 2, true}, {DType::I64, "I64", 8, false}, {DType::I32, "I32", 4, false},
    {DType::I16, "I16", 2, false},  {DType::I8, "I8", 1, false},   {DType::U8, "U8", 1, false},
    {DType::BOOL, "BOOL", 1, false}};

const DTypeRow *rowOf(DType dtype) {
  const auto *row = llvm::find_if(dtypes, [&](const DTypeRow &r) { return r.dtype == dtype; });
  return row == std::end(dtypes) ? nullptr : row;
}

/// A tensor's entry in the header, with [begin, end) relative to the data.
struct Entry {
  TensorView view;
  uint64_t begin, end;
};

/// `where` begins every message: file and tensor.
llvm::Expected<Entry> readEntry(const llvm::json::Value &value, uint64_t dataBytes, const std::string &where) {
  Entry entry{};
  const llvm::json::Object *object = value.getAsObject();
  if (!object)
    return fail(where + ": expected an object with dtype, shape and data_offsets");

  std::optional<StringRef> dtype = object->getString("dtype");
  if (!dtype)
    return fail(where + ": expected a string 'dtype'");
  entry.view.dtypeName = dtype->str();
  if (const auto *row = llvm::find_if(dtypes, [&](const DTypeRow &r) { return r.name == *dtype; });
      row != std::end(dtypes))
    entry.view.dtype = row->dtype;

  const llvm::json::Array *shape = object->getArray("shape");
  if (!shape)
    return fail(where + ": expected an array 'shape'");
  for (const llvm::json::Value &size : *shape) {
    std::optional<int64_t> integer = size.getAsInteger();
    if (!integer || *integer < 0)
      return fail(where + ": expected 'shape' of integers from 0");
    entry.view.shape.push_back(*integer);
  }

  const llvm::json::Array *offsets = object->getArray("data_offsets");
  if (!offsets || offsets->size() != 2 || !(*offsets)[0].getAsUINT64() || !(*offsets)[1].getAsUINT64())
    return fail(where + ": expected 'data_offsets' of two integers from 0");
  entry.begin = *(*offsets)[0].getAsUINT64();
  entry.end = *(*offsets)[1].getAsUINT64();
  std::string range = "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + ")";
  if (entry.begin > entry.end)
    return fail(where + ": expected 'data_offsets' in ascending order, got " + range);
  if (entry.end > dataBytes)
    return fail(where + ": expected data within the file's " + Twine(dataBytes) + " bytes of data, got " + range +
                " (is the file truncated?)");

  std::optional<uint64_t> bytes = entry.view.dtype == DType::Other ? 0 : dtypeBytes(entry.view.dtype);
  for (int64_t size : entry.view.shape)
    if (bytes)
      bytes = llvm::checkedMulUnsigned<uint64_t>(*bytes, size);
  if (!bytes)
    return fail(where + ": expected a shape whose bytes fit 64 bits, got " + shapeText(entry.view.shape));
  if (entry.view.dtype != DType::Other && *bytes != entry.end - entry.begin)
    return fail(where + ": expected " + Twine(*bytes) + " bytes for " + entry.view.dtypeName + " " +
                shapeText(entry.view.shape) + ", got " + Twine(entry.end - entry.begin));
  return entry;
}

/// The data is covered exactly once.
llvm::Error checkCoverage(std::vector<Entry> &entries, uint64_t dataBytes, StringRef file) {
  // Empty tensors come before the one that starts at the same byte.
  llvm::sort(entries, [](const Entry &a, const Entry &b) {
    return std::tie(a.begin, a.end, a.view.name) < std::tie(b.begin, b.end, b.view.name);
  });
  uint64_t covered = 0;
  StringRef previous;
  for (const Entry &entry : entries) {
    if (entry.begin < covered)
      return fail(file + ": tensor " + quoted(entry.view.name) + ": expected data that starts at byte " +
                  Twine(covered) + ", where " + quoted(previous) + " ends, got " + Twine(entry.begin));
    if (entry.begin > covered)
      return fail(file + ": expected no holes, got bytes " + Twine(covered) + " to " + Twine(entry.begin) +
                  " that belong to no tensor");
    covered = entry.end;
    previous = entry.view.name;
  }
  if (covered != dataBytes)
    return fail(file + ": expected " + Twine(covered) + " bytes of data, got " + Twine(dataBytes));
  return llvm::Error::success();
}

float halfToFloat(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, rest = half & 0x7fff;
  float value;
  if (rest >= 0x7c00) { // infinity and NaN
    uint32_t bits = sign | 0x7f800000 | (rest & 0x3ff) << 13;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  // The exponent is rebased by a multiplication, which also handles subnormals exactly.
  uint32_t bits = rest << 13;
  std::memcpy(&value, &bits, 4);
  value *= 0x1p112f;
  return sign ? -value : value;
}

float bfloatToFloat(uint16_t brain) {
  uint32_t bits = uint32_t(brain) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <typename Stored, typename Convert>
void readAll(const char *from, llvm::MutableArrayRef<float> out, Convert convert) {
  for (float &value : out) {
    value = convert(llvm::support::endian::read<Stored>(from, llvm::endianness::little));
    from += sizeof(Stored);
  }
}
} // namespace

StringRef dtypeName(DType dtype) {
  const DTypeRow *row = rowOf(dtype);
  return row ? row->name : "other";
}

unsigned dtypeBytes(DType dtype) {
  const DTypeRow *row = rowOf(dtype);
  return row ? row->bytes : 0;
}

bool isFloat(DType dtype) {
  const DTypeRow *row = rowOf(dtype);
  return row && row->isFloat;
}

uint64_t TensorView::elements() const {
  if (dtype == DType::Other)
    return 0;
  uint64_t count = 1; // at most that of the stored tensor, which was checked
  for (int64_t size : shape)
    count *= size;
  return count;
}

const char *TensorView::row(int64_t i) const { return data.data() + rows.at(i) * pitch * dtypeBytes(dtype); }

int64_t TensorView::storedIndex(int64_t i) const {
  if (isContiguous())
    return i;
  return rows.at(i / shape.back()) * pitch + columns.at(i % shape.back());
}

void readAsFloat(const TensorView &tensor, uint64_t first, llvm::MutableArrayRef<float> out) {
  assert(isFloat(tensor.dtype) && tensor.isContiguous() && first <= tensor.elements() &&
         out.size() <= tensor.elements() - first);
  if (out.empty())
    return;
  const char *from = tensor.data.data() + first * dtypeBytes(tensor.dtype);
  switch (tensor.dtype) {
  case DType::F64:
    return readAll<double>(from, out, [](double value) { return float(value); });
  case DType::F32:
    return readAll<float>(from, out, [](float value) { return value; });
  case DType::F16:
    return readAll<uint16_t>(from, out, halfToFloat);
  case DType::BF16:
    return readAll<uint16_t>(from, out, bfloatToFloat);
  default:
    llvm_unreachable("expected a float tensor");
  }
}

llvm::Error WeightSet::add(std::unique_ptr<llvm::MemoryBuffer> buffer) {
  StringRef bytes = buffer->getBuffer(), file = buffer->getBufferIdentifier();
  if (bytes.size() < 8)
    return fail(file + ": expected a safetensors file of at least 8 bytes, got " + Twine(bytes.size()));
  uint64_t headerBytes = llvm::support::endian::read64le(bytes.data());
  if (headerBytes > kMaxHeader)
    return fail(file + ": expected a safetensors header of at most " + Twine(kMaxHeader) + " bytes, got " +
                Twine(headerBytes));
  if (headerBytes > bytes.size() - 8)
    return fail(file + ": expected a header of " + Twine(headerBytes) + " bytes, got " + Twine(bytes.size() - 8) +
                " bytes (is the file truncated?)");
  llvm::Expected<llvm::json::Value> header = parseJson(bytes.substr(8, headerBytes), file);
  if (!header)
    return header.takeError();
  const llvm::json::Object *object = header->getAsObject();
  if (!object)
    return fail(file + ": expected a header that is a JSON object");

  StringRef data = bytes.drop_front(8 + headerBytes);
  std::vector<Entry> entries;
  for (const auto &[name, value] : sortedMembers(*object)) {
    if (name == "__metadata__") {
      const llvm::json::Object *metadata = value->getAsObject();
      if (!metadata || llvm::any_of(*metadata, [](const auto &item) { return !item.second.getAsString(); }))
        return fail(file + ": expected '__metadata__' of strings");
      continue;
    }
    llvm::Expected<Entry> entry = readEntry(*value, data.size(), (file + ": tensor " + quoted(name)).str());
    if (!entry)
      return entry.takeError();
    entry->view.name = name;
    entries.push_back(std::move(*entry));
  }
  if (llvm::Error error = checkCoverage(entries, data.size(), file))
    return error;
  for (const Entry &entry : entries) // before the first is added, so that an error leaves the set as it was
    if (auto other = tensors.find(entry.view.name); other != tensors.end())
      return fail(file + ": tensor " + quoted(entry.view.name) + ": expected in one file only, got it in " +
                  other->second.file + " too");
  for (Entry &entry : entries) {
    auto slot = tensors.try_emplace(entry.view.name, std::move(entry.view)).first;
    slot->second.name = slot->getKey(); // outlives the JSON
    slot->second.data = llvm::ArrayRef<char>(data.data() + entry.begin, entry.end - entry.begin);
    slot->second.file = file;
    slot->second.pitch = slot->second.shape.empty() ? 1 : slot->second.shape.back();
  }
  names.push_back(file.str());
  buffers.push_back(std::move(buffer));
  return llvm::Error::success();
}

std::vector<StringRef> WeightSet::tensorNames() const {
  std::vector<StringRef> sorted(tensors.keys().begin(), tensors.keys().end());
  llvm::sort(sorted);
  return sorted;
}

/// `tensor` cut down to element `index` of its first dimension.
static bool takeElement(TensorView &tensor, int64_t index) {
  if (tensor.shape.size() < 2 || index < 0 || index >= tensor.shape[0])
    return false;
  int64_t bytes = tensor.data.size() / tensor.shape[0];
  tensor.data = tensor.data.slice(index * bytes, bytes);
  tensor.shape.erase(tensor.shape.begin());
  return true;
}

/// `tensor` cut down to `blocks` of its first or last dimension.
static bool takeBlocks(TensorView &tensor, const Blocks &blocks, bool ofLast) {
  if (tensor.shape.empty() || (!ofLast && tensor.shape.size() > 2))
    return false;
  int64_t &size = ofLast ? tensor.shape.back() : tensor.shape.front();
  if (blocks.offset < 0 || blocks.block < 1 || blocks.stride < 1 || blocks.offset > blocks.stride ||
      blocks.block > blocks.stride - blocks.offset || size % blocks.stride != 0)
    return false;
  (ofLast || tensor.shape.size() == 1 ? tensor.columns : tensor.rows) = blocks;
  size = size / blocks.stride * blocks.block;
  return true;
}

std::optional<TensorView> WeightSet::find(StringRef name) const {
  auto slot = tensors.find(name);
  if (slot != tensors.end())
    return slot->second;
  size_t bracket = name.rfind('[');
  if (bracket == StringRef::npos || !name.consume_back("]"))
    return std::nullopt;
  slot = tensors.find(name.take_front(bracket));
  if (slot == tensors.end())
    return std::nullopt;
  TensorView view = slot->second;
  StringRef text = name.drop_front(bracket + 1);
  bool ofLast = text.consume_front(",");
  llvm::SmallVector<int64_t, 3> numbers;
  for (StringRef part : llvm::split(text, ':'))
    if (part.getAsInteger(10, numbers.emplace_back()))
      return std::nullopt;
  bool taken = numbers.size() == 3   ? takeBlocks(view, {numbers[0], numbers[1], numbers[2]}, ofLast)
               : numbers.size() == 1 ? !ofLast && takeElement(view, numbers[0])
                                     : false;
  return taken ? std::optional<TensorView>(std::move(view)) : std::nullopt;
}

} // namespace attnc
