//===- Kernel.cpp - What kernels begin with, and what their threads share ---------------------------===//
#include "backends/cuda/Kernel.h"
#include "passes/Signature.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {
using namespace attn;

llvm::Error refuse(const llvm::Twine &reason) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), reason);
}

/// How a kernel sees a buffer: in words that memory holds, with any strides but the innermost.
static MemRefType argumentType(MemRefType type) {
  MLIRContext *context = type.getContext();
  SmallVector<int64_t> shape(type.getShape()), strides;
  Type element = type.getElementType();
  if (element.isInteger(1))
    element = IntegerType::get(context, 8);
  if (isPairs(type)) {
    shape.pop_back();
    element = IntegerType::get(context, 32);
  }
  strides.assign(shape.size(), ShapedType::kDynamic);
  strides.back() = 1;
  return MemRefType::get(shape, element, StridedLayoutAttr::get(context, 0, strides));
}

Kernel::Kernel(PipelineOp source, StringRef name, gpu::GPUModuleOp module, OpBuilder &builder, KernelOptions options)
    : Emit(builder, source.getLoc()), source(source), options(options) {
  Block &body = source.getBody().front();
  SmallVector<Type> types;
  for (BlockArgument argument : body.getArguments()) {
    auto type = dyn_cast<MemRefType>(argument.getType());
    types.push_back(type ? Type(argumentType(type)) : argument.getType());
  }
  b.setInsertionPointToEnd(module.getBody());
  kernel = gpu::GPUFuncOp::create(b, loc, name, b.getFunctionType(types, {}));
  kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
  b.setInsertionPointToStart(&kernel.getBody().front());
  for (auto [from, to] : llvm::zip(body.getArguments(), kernel.getArguments()))
    values.map(from, to);
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

Axis Kernel::axis(Value operand, int32_t dim, uint32_t tile) {
  return {cast<BlockArgument>(operand).getArgNumber(), dim, tile};
}

SmallVector<Value> Kernel::tile(int64_t threads, ArrayRef<Axis> axes) {
  block = threads;
  grid.assign(axes.begin(), axes.end());
  kernel->setAttr("known_block_size", b.getDenseI32ArrayAttr({int32_t(threads), 1, 1}));
  // One block a multiprocessor is enough: registers rather than spills for the sake of more.
  kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(1));
  tid = gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x);
  Value rest = gpu::BlockIdOp::create(b, loc, gpu::Dimension::x);
  SmallVector<Value> first(axes.size());
  for (size_t i = axes.size(); i-- > 0;) {
    Value number = rest;
    if (i) {
      Value of = source.getBody().front().getArgument(axes[i].operand);
      Value blocks = divCeil(size(of, axes[i].dim), axes[i].tile);
      number = rem(rest, blocks);
      rest = divFloor(rest, blocks);
    }
    first[i] = mul(number, axes[i].tile);
  }
  return first;
}

void Kernel::finish() {
  b.setInsertionPointToEnd(&kernel.getBody().front());
  gpu::ReturnOp::create(b, loc);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

Value Kernel::buffer(Value source) { return values.lookup(source); }

Value Kernel::size(Value source, int64_t d) {
  if (d >= 0)
    return dim(buffer(source), d);
  Value n = idx(1);
  for (int64_t i = 0; i < rankOf(source) - (d == kRowsOfAll); ++i)
    n = mul(n, size(source, i));
  return n;
}

Value Kernel::scalar(Value source) {
  if (!values.contains(source))
    b.clone(*source.getDefiningOp(), values);
  return values.lookup(source);
}

Value Kernel::ifElse(Value condition, Type type, function_ref<Value()> then, function_ref<Value()> otherwise) {
  auto branch = scf::IfOp::create(b, loc, TypeRange(type), condition, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, loc, then());
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, loc, otherwise());
  return branch.getResult(0);
}

/// Only what is optional may be absent, and is a null pointer then.
Value Kernel::ifGiven(Value source, Value otherwise, function_ref<Value()> given) {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, buffer(source));
  Value isGiven = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, address, idx(0));
  return ifElse(isGiven, otherwise.getType(), given, [&] { return otherwise; });
}

Value Kernel::read(Value source, ValueRange at) {
  MemRefType type = typeOf(source);
  if (isPairs(type)) {
    Value pair = load1(buffer(source), at.drop_back());
    Value half = arith::IndexCastOp::create(b, loc, b.getI32Type(), at.back());
    Value word = arith::TruncIOp::create(
        b, loc, b.getI16Type(), arith::ShRUIOp::create(b, loc, pair, arith::ShLIOp::create(b, loc, half, i32(4))));
    return toF32(as(type.getElementType(), word));
  }
  Value element = load1(buffer(source), at);
  if (type.getElementType().isInteger(1))
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, element, arith::ConstantIntOp::create(b, loc, 0, 8));
  return f32Or(element);
}

Value Kernel::toInteger(Value v, Type type) {
  if (v.getType() == type)
    return v;
  if (v.getType().isIndex() || type.isIndex())
    return arith::IndexCastOp::create(b, loc, type, v);
  if (v.getType().getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
    return arith::ExtSIOp::create(b, loc, type, v);
  return arith::TruncIOp::create(b, loc, type, v);
}

void Kernel::write(Value element, Value source, ValueRange at) {
  Type type = typeOf(source).getElementType();
  if (type.isInteger(1))
    element = arith::ExtUIOp::create(b, loc, b.getI8Type(), element);
  else if (isa<FloatType>(type))
    element = fromF32(element, type);
  else
    element = toInteger(element, type);
  store1(element, buffer(source), at);
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

void Kernel::barrier() { gpu::BarrierOp::create(b, loc); }

Value Kernel::shuffle(Value v, int64_t mask) {
  return gpu::ShuffleOp::create(b, loc, v, i32(mask), i32(kWarp), gpu::ShuffleMode::XOR).getShuffleResult();
}

Value Kernel::broadcastFrom(Value v, Value from) {
  Value source = toInteger(from, b.getI32Type());
  return gpu::ShuffleOp::create(b, loc, v, source, i32(kWarp), gpu::ShuffleMode::IDX).getShuffleResult();
}

Value Kernel::reduceWarp(Value v, function_ref<Value(Value, Value)> combine) {
  for (int64_t mask = kWarp / 2; mask > 0; mask /= 2)
    v = combine(v, shuffle(v, mask));
  return v;
}

Value Kernel::reduceBlock(Value v, function_ref<Value(Value, Value)> combine) {
  v = reduceWarp(v, combine);
  int64_t warps = block / kWarp;
  if (warps == 1)
    return v;
  Value ofWarps = shared({warps}, v.getType());
  ifThen(equal(rem(tid, idx(kWarp)), idx(0)), [&] { store1(v, ofWarps, divFloor(tid, kWarp)); });
  barrier();
  v = load1(ofWarps, idx(0));
  for (int64_t warp = 1; warp < warps; ++warp) // in order: the same bits for every thread
    v = combine(v, load1(ofWarps, idx(warp)));
  return v;
}

Value Kernel::shared(ArrayRef<int64_t> shape, Type type) {
  auto space = gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup);
  unsigned index = kernel.getNumWorkgroupAttributions();
  Value memory = kernel.addWorkgroupAttribution(MemRefType::get(shape, type, MemRefLayoutAttrInterface(), space), loc);
  kernel.setWorkgroupAttributionAttr(index, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(16));
  staticBytes += llvm::alignTo(llvm::product_of(shape) * llvm::divideCeil(type.getIntOrFloatBitWidth(), 8), 16);
  return memory;
}

Value Kernel::dynamicShared(ArrayRef<int64_t> shape, Type type) {
  auto space = gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup);
  auto bytes = MemRefType::get({ShapedType::kDynamic}, b.getI8Type(), MemRefLayoutAttrInterface(), space);
  int64_t offset = llvm::alignTo(sharedBytes, kDynamicSharedAlignment);
  sharedBytes = offset + llvm::product_of(shape) * type.getIntOrFloatBitWidth() / 8;
  Value all = gpu::DynamicSharedMemoryOp::create(b, loc, bytes);
  return memref::ViewOp::create(b, loc, MemRefType::get(shape, type, MemRefLayoutAttrInterface(), space), all,
                                idx(offset), ValueRange());
}

SmallVector<Value> Kernel::strided(Value n, ValueRange init, function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  return loop(tid, n, block, init, body);
}

void Kernel::strided(Value n, function_ref<void(Value)> body) { loop(tid, n, block, body); }

} // namespace attnc::cuda
