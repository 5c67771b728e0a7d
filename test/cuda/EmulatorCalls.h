//===- EmulatorCalls.h - Calls of functions of the emulator -------------------------------------===//
#ifndef ATTN_TEST_CUDA_EMULATORCALLS_H
#define ATTN_TEST_CUDA_EMULATORCALLS_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace emulator {

/// Builds calls in front of one op. Arguments and results are integers of 32 or 64 bits, f32 and pointers; what is
/// larger passes through memory on the thread's stack.
class EmulatorCalls {
public:
  EmulatorCalls(mlir::ModuleOp module, mlir::Operation *op);

  mlir::Value i32(int64_t value);
  mlir::Value i64(int64_t value);
  mlir::Value null();
  /// "file:line" of the op, the first argument of every function that can fail.
  mlir::Value place();
  mlir::Value text(llvm::StringRef text);
  /// i1 and floats of 32 bits as i32.
  mlir::Value toI32(mlir::Value value);
  /// The other way round.
  mlir::Value fromI32(mlir::Value value, mlir::Type type);
  /// A pointer without address space.
  mlir::Value generic(mlir::Value pointer);
  /// Room on the stack for a value of `type`.
  mlir::Value room(mlir::Type type);
  /// A pointer to the values one after the other, each a register of 32 bits.
  mlir::Value registers(mlir::ValueRange values);
  mlir::Value load(mlir::Type type, mlir::Value pointer);
  void store(mlir::Value value, mlir::Value pointer);

  /// `result` null: none.
  mlir::Value call(llvm::StringRef function, mlir::Type result, mlir::ValueRange arguments);
  void call(llvm::StringRef function, mlir::ValueRange arguments) { call(function, {}, arguments); }

  mlir::OpBuilder builder;
  mlir::Location loc;

private:
  mlir::ModuleOp module;
  mlir::Operation *op;
};

} // namespace emulator

#endif // ATTN_TEST_CUDA_EMULATORCALLS_H
