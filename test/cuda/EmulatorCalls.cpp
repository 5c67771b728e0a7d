//===- EmulatorCalls.cpp - Calls of functions of the emulator -----------------------------------===//
#include "test/cuda/EmulatorCalls.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace emulator {

EmulatorCalls::EmulatorCalls(ModuleOp module, Operation *op) : builder(op), loc(op->getLoc()), module(module), op(op) {}

Value EmulatorCalls::i32(int64_t value) {
  return LLVM::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(int32_t(value)));
}
Value EmulatorCalls::i64(int64_t value) {
  return LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(value));
}
Value EmulatorCalls::null() {
  return LLVM::ZeroOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()));
}

Value EmulatorCalls::text(StringRef text) {
  const std::string name = "attn_text_" + llvm::utohexstr(llvm::xxh3_64bits(text));
  if (!module.lookupSymbol(name)) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(module.getBody());
    const std::string bytes = text.str() + '\0';
    auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), bytes.size());
    LLVM::GlobalOp::create(builder, loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, name,
                           builder.getStringAttr(bytes));
  }
  return LLVM::AddressOfOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), name);
}

Value EmulatorCalls::place() {
  std::string where = "?";
  if (auto file = loc->findInstanceOf<FileLineColLoc>())
    where = (llvm::sys::path::filename(file.getFilename().strref()) + ":" + Twine(file.getLine())).str();
  return text(where);
}

Value EmulatorCalls::toI32(Value value) {
  if (value.getType().isInteger(32))
    return value;
  if (value.getType().isInteger(1))
    return LLVM::ZExtOp::create(builder, loc, builder.getI32Type(), value);
  return LLVM::BitcastOp::create(builder, loc, builder.getI32Type(), value);
}

Value EmulatorCalls::fromI32(Value value, Type type) {
  if (type.isInteger(32))
    return value;
  if (type.isInteger(1))
    return LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::ne, value, i32(0));
  return LLVM::BitcastOp::create(builder, loc, type, value);
}

Value EmulatorCalls::generic(Value pointer) {
  auto type = LLVM::LLVMPointerType::get(builder.getContext());
  return pointer.getType() == type ? pointer : Value(LLVM::AddrSpaceCastOp::create(builder, loc, type, pointer));
}

Value EmulatorCalls::room(Type type) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&op->getParentOfType<LLVM::LLVMFuncOp>().front());
  Value one = i32(1);
  return LLVM::AllocaOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), type, one, 16);
}

Value EmulatorCalls::registers(ValueRange values) {
  Value place = room(LLVM::LLVMArrayType::get(builder.getI32Type(), values.size()));
  for (auto [i, value] : llvm::enumerate(values)) {
    Value element = LLVM::GEPOp::create(builder, loc, place.getType(), builder.getI32Type(), place,
                                        ArrayRef<LLVM::GEPArg>{int32_t(i)});
    LLVM::StoreOp::create(builder, loc, value, element, 4);
  }
  return place;
}

Value EmulatorCalls::load(Type type, Value pointer) { return LLVM::LoadOp::create(builder, loc, type, pointer, 4); }
void EmulatorCalls::store(Value value, Value pointer) { LLVM::StoreOp::create(builder, loc, value, pointer, 4); }

Value EmulatorCalls::call(StringRef function, Type result, ValueRange arguments) {
  auto callee = module.lookupSymbol<LLVM::LLVMFuncOp>(function);
  if (!callee) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(module.getBody());
    auto type = LLVM::LLVMFunctionType::get(result ? result : LLVM::LLVMVoidType::get(builder.getContext()),
                                            llvm::to_vector(arguments.getTypes()));
    callee = LLVM::LLVMFuncOp::create(builder, builder.getUnknownLoc(), function, type);
  }
  auto call = LLVM::CallOp::create(builder, loc, callee, arguments);
  return result ? call.getResult() : Value();
}

} // namespace emulator
