//===- AttnDialect.cpp - Types, attributes and registration ----------------------------===//
#include "dialect/AttnDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialect/AttnDialect.cpp.inc"
#include "dialect/AttnEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/AttnTypes.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/AttnAttrs.cpp.inc"

namespace attnc::attn {

void AttnDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/AttnTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/AttnAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/AttnOps.cpp.inc"
      >();
}

Type CacheType::parse(AsmParser &parser) {
  SmallVector<int64_t> sizes;
  Type elementType;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseDimensionList(sizes, /*allowDynamic=*/false) || parser.parseType(elementType))
    return {};
  bool cross = succeeded(parser.parseOptionalComma());
  if ((cross && parser.parseKeyword("cross")) || parser.parseGreater())
    return {};
  if (sizes.size() != 4) {
    parser.emitError(loc) << "expected 4 sizes, layers x kv_heads x head_dim x head_dim_v, got " << sizes.size();
    return {};
  }
  return parser.getChecked<CacheType>(loc, parser.getContext(), sizes[0], sizes[1], sizes[2], sizes[3], elementType,
                                      cross);
}

void CacheType::print(AsmPrinter &printer) const {
  printer << "<" << getLayers() << "x" << getKvHeads() << "x" << getHeadDim() << "x" << getHeadDimV() << "x"
          << getElementType() << (getCross() ? ", cross" : "") << ">";
}

LogicalResult CacheType::verify(function_ref<InFlightDiagnostic()> error, int64_t layers, int64_t kvHeads,
                                int64_t headDim, int64_t headDimV, Type elementType, bool) {
  for (int64_t size : {layers, kvHeads, headDim, headDimV})
    if (size < 1 || size > std::numeric_limits<int32_t>::max()) // products of two stay in 64 bits
      return error() << "expected sizes from 1 to 2147483647, got " << size;
  if (!elementType.isF32() && !elementType.isBF16() && !elementType.isF16())
    return error() << "expected element type f32, bf16 or f16, got " << elementType;
  return success();
}

SmallVector<int64_t> packedShape(int64_t k, int64_t n, Type type) {
  int64_t panels = llvm::divideCeil(n, kPanel);
  if (type.getIntOrFloatBitWidth() == 16)
    return {panels, (int64_t)llvm::divideCeil(k, 2), kPanel, 2};
  return {panels, k, kPanel};
}

} // namespace attnc::attn
