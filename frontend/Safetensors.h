//===- Safetensors.h - Weights of a checkpoint, mapped and validated ---------------------===//
// File format: u64 header bytes (little endian), JSON header, data. The header maps each tensor's name to
// {"dtype", "shape", "data_offsets": [begin, end)} relative to the data. Source: the safetensors README,
// github.com/huggingface/safetensors.
#ifndef ATTNC_FRONTEND_SAFETENSORS_H
#define ATTNC_FRONTEND_SAFETENSORS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace attnc {

/// Element type of a stored tensor. `Other` may lie in a file but cannot be used; its name is kept.
enum class DType { F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL, Other };

/// The safetensors name of a type ("F32"); "other" for Other.
llvm::StringRef dtypeName(DType dtype);
/// Bytes of one element, 0 for Other.
unsigned dtypeBytes(DType dtype);
/// F64, F32, F16 and BF16: what `readAsFloat` reads.
bool isFloat(DType dtype);

/// Which indices of a stored dimension a view takes: `block` of every `stride`, from `offset` on; all if `block` is 0.
struct Blocks {
  int64_t offset = 0, block = 0, stride = 0;
  int64_t at(int64_t i) const { return block ? offset + i / block * stride + i % block : i; }
};

/// One tensor in a mapped file, or a view of one. Row major, little endian, not necessarily aligned. Valid as long as
/// its WeightSet.
struct TensorView {
  llvm::StringRef name;
  DType dtype = DType::Other;
  std::string dtypeName; // as written in the file
  llvm::SmallVector<int64_t, 4> shape;
  llvm::ArrayRef<char> data; // of the stored tensor
  llvm::StringRef file;      // path of the file that holds it
  Blocks rows, columns;      // of the stored tensor as a matrix, its last dimension against all others
  int64_t pitch = 0;         // elements in one of its rows

  uint64_t elements() const;
  bool isContiguous() const { return !rows.block && !columns.block; }
  /// The stored bytes of row `i` of the view; its element j is element `columns.at(j)` there.
  const char *row(int64_t i) const;
  /// Where element `i` of the view, in row-major order, is stored.
  int64_t storedIndex(int64_t i) const;
};

/// Elements `first` … `first + out.size()` of a float tensor, in row-major order, as f32 (F64 is rounded to nearest).
/// The caller guarantees `isFloat(tensor.dtype)` and the range.
void readAsFloat(const TensorView &tensor, uint64_t first, llvm::MutableArrayRef<float> out);

/// The tensors of one or several safetensors files, by name. Files are mapped, not read. Every file is fully checked
/// when it is added: header length (at most 100 MB, within the file), JSON, known keys and types, dtype × shape = bytes
/// (overflow-checked), and data that covers the rest of the file once, without overlaps or holes. Errors name the
/// file and the tensor.
class WeightSet {
public:
  /// An explicit list of files; a tensor may stand in one of them only.
  static llvm::Expected<WeightSet> openFiles(llvm::ArrayRef<std::string> paths);

  /// `model.safetensors`, or `model.safetensors.index.json` and the shards it names, which must lie in `directory`
  /// and hold the tensors that the index says. With `folder` they lie in that folder of `directory`.
  static llvm::Expected<WeightSet> openDirectory(llvm::StringRef directory, llvm::StringRef folder = "");

  /// Adds one file held in `buffer`, whose identifier is the path in messages.
  llvm::Error add(std::unique_ptr<llvm::MemoryBuffer> buffer);

  /// The tensor of that name, or a view of one, if there is such a tensor and it can be viewed like that:
  ///
  ///   NAME[e]                       element e of its first dimension
  ///   NAME[offset:block:stride]     `block` of every `stride` of its first dimension (of at most 2), from `offset` on
  ///   NAME[,offset:block:stride]    the same of its last dimension
  ///
  /// where stride divides the dimension and offset + block is at most stride: the queries of projections that are
  /// interleaved by head, `qkv.weight[0:64:192]`; all but the first two rows of a table of 514, `weight[2:512:514]`.
  std::optional<TensorView> find(llvm::StringRef name) const;

  size_t size() const { return tensors.size(); }
  /// Names of all tensors, sorted.
  std::vector<llvm::StringRef> tensorNames() const;

  /// File names in the order added; relative to the directory after openDirectory.
  llvm::ArrayRef<std::string> files() const { return names; }

private:
  std::vector<std::unique_ptr<llvm::MemoryBuffer>> buffers;
  std::vector<std::string> names;
  llvm::StringMap<TensorView> tensors;
};

} // namespace attnc

#endif // ATTNC_FRONTEND_SAFETENSORS_H
