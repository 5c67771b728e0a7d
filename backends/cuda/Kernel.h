//===- Kernel.h - One attn.pipeline as a kernel of NVIDIA GPUs --------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_KERNEL_H
#define ATTNC_BACKENDS_CUDA_KERNEL_H

#include "passes/Emit.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "llvm/Support/Error.h"

namespace attnc::cuda {
using namespace mlir;

/// How many blocks a launch has: the product over all axes of ⌈size / tile⌉, where size is a dimension of an operand,
/// or the number of its elements, or that of its rows: all dimensions but the last. As attn_cuda_axis in
/// support/Code.h.
struct Axis {
  unsigned operand;
  int32_t dim;
  uint32_t tile;
};
constexpr int32_t kElements = -1, kRowsOfAll = -2;
constexpr int64_t kWarp = 32;
constexpr int64_t kMaxAxes = 8; // ATTN_CUDA_AXES
constexpr int64_t kDynamicSharedAlignment = 1024;
/// Bytes of shared memory that a block of any device of this capability has: of 8.6 and 8.9, where kernels for 8.0 run,
/// too, and of 9.0.
constexpr int64_t sharedLimit(int capability) { return (capability == 90 ? 227 : 99) << 10; }

/// Which of a pipeline's kernels.
struct KernelOptions {
  int capability;   ///< of the devices that it is for: 80, or 90, which has wgmma and TMA
  bool bf16Math;    ///< products with bf16 weights round their inputs to bf16
  bool few = false; ///< the one for few rows
};

/// A kernel being built: a gpu.func whose arguments are those of the pipeline, buffers with strides that are known when
/// it runs. Its body is written with Emit's helpers, by one thread of many.
class Kernel : public Emit {
public:
  /// It is the last function of `module`.
  Kernel(attn::PipelineOp source, StringRef name, gpu::GPUModuleOp module, OpBuilder &builder, KernelOptions options);

  /// The pipeline's op: the last of its body. Its operands are the source's; what follows takes them.
  Operation *op() { return &source.getBody().front().back(); }
  gpu::GPUFuncOp func() { return kernel; }

  int capability() const { return options.capability; }
  bool hasBf16Math() const { return options.bf16Math; }

  // What a kernel begins with.
  /// One block for each index in the product of the axes: `threads` threads and, of each axis, the block's first index.
  SmallVector<Value> tile(int64_t threads, ArrayRef<Axis> axes);
  /// Whether this is the kernel for few rows; of the other: it is there for so many, the axis' tile.
  bool isFew() const { return options.few; }
  void offerFew(Axis upTo) { fewUpTo = upTo; }
  std::optional<Axis> offeredFew() const { return fewUpTo; }
  /// As an axis: a dimension of an operand of the op.
  Axis axis(Value operand, int32_t dim, uint32_t tile = 1);
  int64_t threads() const { return block; }
  ArrayRef<Axis> axes() const { return grid; }
  Value thread() { return tid; }

  // Operands, by the source's values.
  /// The argument itself: truth values are i8, and pairs of 16-bit floats i32 without the last dimension (isPairs).
  Value buffer(Value source);
  /// Of a dimension, or as Axis says.
  Value size(Value source, int64_t dim);
  /// A scalar argument or constant of the source.
  Value scalar(Value source);
  /// Whether an optional input is there; where it is not, `otherwise` instead of what `given` computes.
  Value ifGiven(Value source, Value otherwise, function_ref<Value()> given);
  /// An element: floats as f32, truth values as i1. Of pairs, too, `at` has the last dimension.
  Value read(Value source, ValueRange at);
  /// f32 to a float of any type, i1, or an integer of any width.
  void write(Value element, Value source, ValueRange at);
  Value f32Or(Value v) { return isa<FloatType>(v.getType()) ? toF32(v) : v; }

  // Threads.
  void barrier();
  /// `v` of the thread whose number differs in the bits of `mask`.
  Value shuffle(Value v, int64_t mask);
  /// `v` of lane `from` of the warp.
  Value broadcastFrom(Value v, Value from);
  Value reduceWarp(Value v, function_ref<Value(Value, Value)> combine);
  /// All threads of the block get the combination of all their values; every thread must get there.
  Value reduceBlock(Value v, function_ref<Value(Value, Value)> combine);
  /// Memory of the block: up to 48 KiB in all.
  Value shared(ArrayRef<int64_t> shape, Type type);
  /// The same, aligned to 1024 bytes, as swizzles of TMA and wgmma want it; up to sharedLimit in all.
  Value dynamicShared(ArrayRef<int64_t> shape, Type type);
  int64_t dynamicBytes() const { return sharedBytes; }
  /// Of both: dynamic memory begins at a multiple of its alignment.
  int64_t allSharedBytes() const { return llvm::alignTo(staticBytes, kDynamicSharedAlignment) + sharedBytes; }
  /// for (j = thread; j < n; j += threads)
  SmallVector<Value> strided(Value n, ValueRange init, function_ref<SmallVector<Value>(Value, ValueRange)> body);
  void strided(Value n, function_ref<void(Value)> body);
  void finish();

  // Numbers.
  Value i32(int64_t v) { return arith::ConstantIntOp::create(b, loc, v, 32); }
  /// An integer or index as another integer type; signed.
  Value toInteger(Value v, Type type);
  Value toFloat(Value index) {
    return arith::SIToFPOp::create(b, loc, b.getF32Type(), toInteger(index, b.getI64Type()));
  }
  Value isTrue() { return arith::ConstantIntOp::create(b, loc, 1, 1); }
  Value lowest() { return f32(-std::numeric_limits<double>::infinity()); }
  Value equal(Value a, Value c) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, a, c); }
  Value notLess(Value a, Value c) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, a, c); }
  Value both(Value a, Value c) { return arith::AndIOp::create(b, loc, a, c); }
  Value either(Value a, Value c) { return arith::OrIOp::create(b, loc, a, c); }
  Value ifElse(Value condition, Type type, function_ref<Value()> then, function_ref<Value()> otherwise);
  template <typename Op> Value math(Value x) { return Op::create(b, loc, x); }
  Value exp2(Value x) { return emitExp2(*this, x); }

private:
  attn::PipelineOp source;
  gpu::GPUFuncOp kernel;
  IRMapping values;
  SmallVector<Axis> grid;
  int64_t block = 0, sharedBytes = 0, staticBytes = 0;
  KernelOptions options;
  std::optional<Axis> fewUpTo;
  Value tid;
};

inline MemRefType typeOf(Value buffer) { return cast<MemRefType>(buffer.getType()); }
inline int64_t rankOf(Value buffer) { return typeOf(buffer).getRank(); }
/// The static size of the last dimension, or what ShapedType says of dynamic ones.
inline int64_t columnsOf(Value buffer) { return typeOf(buffer).getShape().back(); }

/// Writes the kernel of one op; an error says why it cannot be: then the op runs on the host.
using Emitter = llvm::Error (*)(Kernel &);
llvm::Error refuse(const llvm::Twine &reason);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_KERNEL_H
