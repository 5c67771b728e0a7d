//===- Passes.h - Declarations of every attnc pass --------------------------------------===//
#ifndef ATTNC_PASSES_PASSES_H
#define ATTNC_PASSES_PASSES_H

#include "dialect/AttnDialect.h"
#include "mlir/Pass/Pass.h"

namespace attnc {
using namespace mlir;
#define GEN_PASS_DECL
#include "passes/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"
} // namespace attnc

#endif // ATTNC_PASSES_PASSES_H
