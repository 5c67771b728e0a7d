//===- Pipeline.cpp - One attn.pipeline as Halide Funcs -------------------------------------------===//
#include "backends/halide/Emitters.h"
#include "passes/Signature.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringExtras.h"

#include <sstream>

// Exported by libHalide, but in none of its headers.
namespace Halide::Internal {
std::string print_loop_nest(const std::vector<Function> &outputs);
}

namespace attnc::halide {
using namespace Halide;
using mlir::MemRefType;
using mlir::Value;

llvm::Error refuse(const llvm::Twine &reason) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), reason);
}

static Halide::Type typeOf(mlir::Type type) {
  if (type.isBF16() || type.isF16()) // not every device has them
    return UInt(16);
  if (auto real = llvm::dyn_cast<mlir::FloatType>(type))
    return Float(real.getWidth());
  return type.isInteger(1) ? UInt(8) : Int(type.isIndex() ? 64 : type.getIntOrFloatBitWidth());
}

//===----------------------------------------------------------------------===//
// 16-bit floats, in 32-bit operations
//===----------------------------------------------------------------------===//

static Expr word(uint32_t value) { return Internal::make_const(UInt(32), value); }

static Expr widenBF16(Expr bits) { return reinterpret<float>(cast<uint32_t>(bits) << 16); }

/// Exponent and mantissa move to their places, and the exponent's bias grows by 112: a multiplication, which handles numbers
/// without a leading one, too. Of infinity and NaN the exponent has to be all ones.
static Expr widenF16(Expr bits) {
  Expr wide = cast<uint32_t>(bits), magnitude = (wide & word(0x7fff)) << 13;
  Expr value = reinterpret<float>(magnitude) * std::ldexp(1.0f, 112);
  Expr special = reinterpret<float>(magnitude | word(0x7f800000));
  Expr result = select(magnitude >= word(0x0f800000), special, value);
  return reinterpret<float>(reinterpret<uint32_t>(result) | ((wide & word(0x8000)) << 16));
}

/// To the nearest, ties to even; NaN stays one.
static Expr narrowBF16(Expr value) {
  Expr bits = reinterpret<uint32_t>(value);
  Expr rounded = (bits + word(0x7fff) + ((bits >> 16) & word(1))) >> 16;
  Expr isNaN = (bits & word(0x7fffffff)) > word(0x7f800000);
  return cast<uint16_t>(select(isNaN, (bits >> 16) | word(0x40), rounded));
}

static Expr narrowF16(Expr value) {
  Expr bits = reinterpret<uint32_t>(value), sign = (bits >> 16) & word(0x8000), magnitude = bits & word(0x7fffffff);
  Expr rounded = (magnitude - word(112u << 23) + word(0xfff) + ((magnitude >> 13) & word(1))) >> 13;
  // Below 2^-14 adding 2^-1 leaves the rounded multiple of 2^-24 in the last bits.
  Expr tiny = reinterpret<uint32_t>(reinterpret<float>(magnitude) + 0.5f) - word(0x3f000000);
  Expr finite = select(magnitude < word(113u << 23), tiny, rounded);
  Expr result = select(magnitude > word(0x7f800000), word(0x7e00), magnitude >= word(0x477ff000), word(0x7c00), finite);
  return cast<uint16_t>(result | sign);
}

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

Pipeline::Pipeline(attn::PipelineOp op, const Device &device) : device(device), source(op) {
  for (auto [i, argument] : llvm::enumerate(op.getBody().front().getArguments())) {
    std::string name = "arg" + std::to_string(i);
    auto type = llvm::dyn_cast<MemRefType>(argument.getType());
    if (!type) {
      scalars.insert({argument, Parameter(typeOf(argument.getType()), false, 0, name)});
      continue;
    }
    bool pairs = isPairs(type);
    ImageParam image(pairs ? UInt(32) : typeOf(type.getElementType()), type.getRank() - pairs, name);
    images.insert({argument, image});
  }
}

ImageParam &Pipeline::image(Value buffer) {
  auto found = images.find(buffer);
  assert(found != images.end() && "expected a buffer of the pipeline");
  used.insert(buffer.getAsOpaquePointer());
  return found->second;
}

Expr Pipeline::load(Value buffer, llvm::ArrayRef<Expr> index) {
  auto type = llvm::cast<MemRefType>(buffer.getType());
  std::vector<Expr> reversed;
  for (int64_t d = type.getRank(); d-- > 0;) {
    Expr at = cast<int32_t>(index[d]);
    // What is not given is one zero, wherever it is read.
    reversed.push_back(optional.contains(buffer.getAsOpaquePointer())
                           ? min(at, image(buffer).dim(type.getRank() - 1 - d).extent() - 1)
                           : at);
  }
  Expr value = image(buffer)(reversed);
  mlir::Type element = type.getElementType();
  return element.isBF16() ? widenBF16(value) : element.isF16() ? widenF16(value) : value;
}

Expr Pipeline::loadOfPair(Value buffer, llvm::ArrayRef<Expr> index, Expr half) {
  Expr pair = image(buffer)(std::vector<Expr>(index.rbegin(), index.rend()));
  if (llvm::cast<MemRefType>(buffer.getType()).getElementType().isBF16())
    return reinterpret<float>(select(half == 0, pair << 16, pair & word(0xffff0000)));
  return widenF16(select(half == 0, pair & word(0xffff), pair >> 16));
}

Expr Pipeline::narrow(Expr value, Value buffer) {
  mlir::Type element = llvm::cast<MemRefType>(buffer.getType()).getElementType();
  return element.isBF16() ? narrowBF16(value) : element.isF16() ? narrowF16(value) : cast(typeOf(element), value);
}

Expr Pipeline::round(Expr value, mlir::Type type) {
  return type.isBF16() ? widenBF16(narrowBF16(value)) : widenF16(narrowF16(value));
}

Expr Pipeline::size(Value buffer, int64_t dim) {
  auto type = llvm::cast<MemRefType>(buffer.getType());
  if (!type.isDynamicDim(dim))
    return int32_t(type.getDimSize(dim));
  int place = type.getRank() - 1 - dim;
  return image(buffer).dim(place).extent();
}

Expr Pipeline::rows(Value buffer, int64_t features) {
  Expr product = 1;
  for (int64_t d = 0; d < llvm::cast<MemRefType>(buffer.getType()).getRank() - features; ++d)
    product = product * size(buffer, d);
  return product;
}

Expr Pipeline::scalar(Value value) {
  mlir::Attribute constant;
  if (mlir::matchPattern(value, mlir::m_Constant(&constant))) {
    if (auto integer = llvm::dyn_cast<mlir::IntegerAttr>(constant))
      return Internal::make_const(typeOf(value.getType()), integer.getInt());
    return Internal::make_const(typeOf(value.getType()), llvm::cast<mlir::FloatAttr>(constant).getValueAsDouble());
  }
  auto found = scalars.find(value);
  assert(found != scalars.end() && "expected a scalar of the pipeline");
  return Internal::Variable::make(found->second.type(), found->second.name(), found->second);
}

Expr Pipeline::isGiven(Value buffer) {
  optional.insert(buffer.getAsOpaquePointer());
  image(buffer).dim(0).set_stride(Expr()); // 0 where it is not given
  unsigned bit = llvm::cast<mlir::BlockArgument>(buffer).getArgNumber();
  return (given >> bit & 1) != 0;
}

bool Pipeline::readsWhatItWrites() const {
  return llvm::any_of(results, [&](const auto &result) { return used.contains(result.first.getAsOpaquePointer()); });
}

void Pipeline::define(Value buffer, Func result) {
  results.insert({buffer, result});
}

std::vector<Argument> Pipeline::arguments() {
  std::vector<Argument> list;
  for (Value argument : source.getBody().front().getArguments()) {
    if (results.contains(argument))
      continue;
    if (auto scalar = scalars.find(argument); scalar != scalars.end())
      list.push_back(Argument(scalar->second.name(), Argument::InputScalar, scalar->second.type(), 0, ArgumentEstimates{}));
    else
      list.push_back(image(argument));
  }
  list.push_back(given);
  return list;
}

namespace {
/// What a kernel takes from outside as a truth value becomes an integer: Halide 21 passes one byte for it, and its kernels for
/// Vulkan read more, by invalid SPIR-V.
class WidenBools : public Internal::IRMutator {
  using IRMutator::visit;
  Internal::Stmt visit(const Internal::LetStmt *op) override {
    if (op->value.type() != Bool())
      return IRMutator::visit(op);
    Expr isTrue = Internal::Variable::make(Int(32), op->name) != 0;
    return Internal::LetStmt::make(op->name, select(mutate(op->value), 1, 0), mutate(Internal::substitute(op->name, isTrue, op->body)));
  }
};
} // namespace

Halide::Pipeline Pipeline::outputs() {
  std::vector<Func> funcs;
  for (Value argument : source.getBody().front().getArguments())
    if (auto result = results.find(argument); result != results.end())
      funcs.push_back(result->second);
  Halide::Pipeline pipeline(funcs);
  if (device.isGpu())
    pipeline.add_custom_lowering_pass(new WidenBools);
  return pipeline;
}

Module Pipeline::lower() {
  std::string name = (kPipelinePrefix + source.getSymName()).str();
  return outputs().compile_to_module(arguments(), name, device.target, LinkageType::ExternalPlusArgv);
}

std::string Pipeline::print() {
  std::ostringstream text;
  text << source.getSymName().str() << "\n";
  std::vector<Internal::Function> functions;
  for (Func func : outputs().outputs())
    functions.push_back(func.function());
  for (auto &[name, function] : Internal::build_environment(functions)) {
    auto arguments = [&](const std::vector<Expr> &list) {
      for (size_t i = 0; i < list.size(); ++i)
        text << (i ? ", " : "") << list[i];
    };
    if (function.has_pure_definition()) {
      text << "  " << name << "(" << llvm::join(function.args(), ", ") << ") = ";
      arguments(function.values());
      text << "\n";
    }
    for (const Internal::Definition &update : function.updates()) {
      text << "  " << name << "(";
      arguments(update.args());
      text << ") = ";
      arguments(update.values());
      text << "\n";
    }
  }
  return text.str() + Internal::print_loop_nest(functions);
}

//===----------------------------------------------------------------------===//
// All of it
//===----------------------------------------------------------------------===//

llvm::Expected<std::unique_ptr<Pipeline>> buildPipeline(attn::PipelineOp op, const Device &device) {
  mlir::Operation *inner = &op.getBody().front().back();
  Emitter emitter = findEmitter(inner->getName().getStringRef());
  if (!emitter)
    return refuse("it has no Halide translation");
  try {
    auto pipeline = std::make_unique<Pipeline>(op, device);
    if (llvm::Error error = emitter(*pipeline))
      return std::move(error);
    if (pipeline->readsWhatItWrites())
      return refuse("it reads what it writes");
    return pipeline;
  } catch (const Halide::Error &error) {
    return refuse(llvm::StringRef(error.what()).rtrim());
  }
}

} // namespace attnc::halide
