//===- Import.h - What the importers of all families share --------------------------------===//
#ifndef ATTNC_FRONTEND_IMPORT_H
#define ATTNC_FRONTEND_IMPORT_H

#include "dialect/AttnDialect.h"
#include "frontend/Config.h"
#include "frontend/Frontend.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace attnc {

/// What an importer works on.
struct ImportContext {
  mlir::MLIRContext *context;
  std::string directory;
  ImportOptions options;
  Config config;
  WeightSet weights;
  mlir::OwningOpRef<mlir::ModuleOp> module; // empty but for its name and `attn.weights`
};

/// A tensor of the checkpoint that the model needs.
struct ParameterSpec {
  std::string name;
  llvm::SmallVector<int64_t, 2> shape;
};

/// Checks that every parameter is there with its shape and a float type (all problems are listed), and adds one
/// `ml_program.global` for each, in the type of `ImportOptions::dtype`.
llvm::Error addParameters(ImportContext &import, llvm::ArrayRef<ParameterSpec> parameters);

/// An input or output of an entry. `dims` names its dynamic dimensions.
struct Port {
  llvm::StringRef name;
  mlir::Type type;
  llvm::SmallVector<llvm::StringRef, 2> dims;
  bool optional = false;
};

/// Inclusive bounds of a named dimension.
struct DimBound {
  llvm::StringRef name;
  int64_t min, max;
};

/// The module's metadata: model_type, these sizes, and the token ids that end, begin and pad a sequence, from
/// generation_config.json or else config.json: `NAME` → i64, or an i64 array where there are several.
llvm::Error setMetadata(ImportContext &import, llvm::StringRef modelType,
                        llvm::ArrayRef<std::pair<llvm::StringRef, int64_t>> sizes);

/// Builds graphs of attn ops, one short line per op, in a module that holds its parameters. Activations are f32,
/// parameters any float type.
class GraphBuilder : public mlir::ImplicitLocOpBuilder {
public:
  explicit GraphBuilder(mlir::ModuleOp module);

  /// Names what is built next, for profiles and messages ("attn.c_proj").
  GraphBuilder &at(llvm::StringRef name);

  mlir::RankedTensorType f32(llvm::ArrayRef<int64_t> shape) { return mlir::RankedTensorType::get(shape, getF32Type()); }
  mlir::RankedTensorType i64(llvm::ArrayRef<int64_t> shape) { return mlir::RankedTensorType::get(shape, getI64Type()); }

  /// Adds a public function and continues in its body. Ports of cache type are state: no name, no dimensions.
  mlir::func::FuncOp entry(llvm::StringRef name, llvm::ArrayRef<Port> inputs, llvm::ArrayRef<Port> outputs,
                           llvm::ArrayRef<DimBound> bounds);
  /// Adds a private function and continues in its body.
  mlir::func::FuncOp function(llvm::StringRef name, mlir::FunctionType type);

  mlir::Value load(llvm::StringRef parameter);
  /// `ids` of any shape, `table [entries, width]`.
  mlir::Value embedding(mlir::Value ids, mlir::Value table);
  /// `input [..., K]`, `weight [K, N]` or, `transposed`, `[N, K]`; `bias [N]` or null.
  mlir::Value linear(mlir::Value input, mlir::Value weight, mlir::Value bias, bool transposed = false);
  mlir::Value layerNorm(mlir::Value input, mlir::Value gamma, mlir::Value beta, double epsilon);
  mlir::Value activation(mlir::Value input, attn::ActivationKind kind);
  mlir::Value add(mlir::Value a, mlir::Value b);
  /// `input [batch, seq, features]` cut along its features into parts of these widths.
  llvm::SmallVector<mlir::Value> split(mlir::Value input, llvm::ArrayRef<int64_t> widths);

  /// Creates an attn op. `operands` stand in the order of its definition; null ones, and those left out at the end, are
  /// absent. Attributes that `properties` does not set have their defaults.
  template <typename Op>
  mlir::Value create(mlir::Type result, llvm::ArrayRef<mlir::Value> operands, typename Op::Properties properties = {}) {
    constexpr bool segmented = Op::template hasTrait<mlir::OpTrait::AttrSizedOperandSegments>();
    llvm::SmallVector<mlir::Value> present;
    if constexpr (segmented)
      properties.operandSegmentSizes = {};
    for (auto [index, operand] : llvm::enumerate(operands)) {
      if (!operand)
        continue;
      present.push_back(operand);
      if constexpr (segmented)
        properties.operandSegmentSizes[index] = 1;
    }
    mlir::Operation *op =
        Op::create(*this, result ? mlir::TypeRange(result) : mlir::TypeRange(), present, properties).getOperation();
    return result ? mlir::Value(op->getResult(0)) : mlir::Value();
  }

private:
  mlir::ModuleOp module;
  llvm::StringMap<mlir::Type> parameters;
};

} // namespace attnc

#endif // ATTNC_FRONTEND_IMPORT_H
