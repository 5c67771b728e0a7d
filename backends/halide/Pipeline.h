//===- Pipeline.h - One attn.pipeline as Halide Funcs -------------------------------------------===//
#ifndef ATTNC_BACKENDS_HALIDE_PIPELINE_H
#define ATTNC_BACKENDS_HALIDE_PIPELINE_H

#include "dialect/AttnDialect.h"

#include "Halide.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Error.h"

namespace attnc::halide {

/// What schedules know of a device.
struct Device {
  Halide::Target target;

  bool isGpu() const { return target.has_gpu_feature(); }
  /// f32 of one vector register; of a GPU, elements that one thread handles side by side. Halide 21 interleaves vectors for
  /// Vulkan by invalid SPIR-V.
  int lanes() const {
    if (isGpu())
      return target.has_feature(Halide::Target::Vulkan) ? 1 : 4;
    return std::min(target.natural_vector_size<float>(), 16);
  }
};

/// The arguments of an `attn.pipeline` as Halide's, and its results as Funcs. Indices are row-major, as in MLIR; Halide's
/// dimension 0 is the last. What Halide cannot do is an error with a reason: then the op runs on the host.
class Pipeline {
public:
  Pipeline(attn::PipelineOp op, const Device &device);

  const Device device;

  /// The pipeline's op: the last of its body.
  mlir::Operation *op() { return &source.getBody().front().back(); }

  /// The element of an input buffer, bf16 and f16 widened to f32.
  Halide::Expr load(mlir::Value buffer, llvm::ArrayRef<Halide::Expr> index);
  /// Half 0 or 1 of a pair of 16-bit floats as f32, of a buffer that isPairs; `index` is without the last dimension.
  Halide::Expr loadOfPair(mlir::Value buffer, llvm::ArrayRef<Halide::Expr> index, Halide::Expr half);
  /// The input buffer itself: bf16 and f16 are UInt(16), pairs of them UInt(32).
  Halide::ImageParam &image(mlir::Value buffer);
  /// The size of a dimension of any buffer: a constant, or known when it runs. i32.
  Halide::Expr size(mlir::Value buffer, int64_t dim);
  /// The number of elements of all dimensions but the last `features`: "rows". i32.
  Halide::Expr rows(mlir::Value buffer, int64_t features = 1);
  /// A scalar argument or constant of the body; an index is Int(64).
  Halide::Expr scalar(mlir::Value value);
  /// Whether an optional input of the model is given; loads of one that is not yield zeros. To be asked before the first load.
  Halide::Expr isGiven(mlir::Value buffer);
  /// `result(last, ..., first)` is what the op writes into `buffer`, in the buffer's type (see narrow). The caller schedules it.
  void define(mlir::Value buffer, Halide::Func result);
  /// An f32 expression in the type of a buffer.
  Halide::Expr narrow(Halide::Expr value, mlir::Value buffer);
  /// An f32 expression rounded to a 16-bit type.
  static Halide::Expr round(Halide::Expr value, mlir::Type type);

  /// Arguments in the order of the launch: inputs, the mask of given inputs (one bit per argument), outputs.
  std::vector<Halide::Argument> arguments();
  Halide::Pipeline outputs();
  /// The C function kPipelinePrefix + name.
  Halide::Module lower();
  /// Its Funcs and loops, for readers.
  std::string print();

  /// Halide has no buffers that are both.
  bool readsWhatItWrites() const;

  // For tests, which run what they build.
  Halide::Parameter &parameter(mlir::Value value) { return scalars.find(value)->second; }
  bool isDefined(mlir::Value buffer) { return results.contains(buffer); }
  void setGiven(uint64_t bits) { given.set(bits); }

private:
  attn::PipelineOp source;
  llvm::MapVector<mlir::Value, Halide::ImageParam> images;
  llvm::MapVector<mlir::Value, Halide::Func> results;
  llvm::MapVector<mlir::Value, Halide::Parameter> scalars;
  llvm::SmallPtrSet<void *, 8> optional, used; // buffers
  Halide::Param<uint64_t> given{"given"};
};

/// The Funcs of a pipeline, scheduled; or why the device cannot compute it. Never throws.
llvm::Expected<std::unique_ptr<Pipeline>> buildPipeline(attn::PipelineOp op, const Device &device);

/// Defines and schedules the outputs of a pipeline's op.
using Emitter = llvm::Error (*)(Pipeline &);

llvm::Error refuse(const llvm::Twine &reason);

} // namespace attnc::halide

#endif // ATTNC_BACKENDS_HALIDE_PIPELINE_H
