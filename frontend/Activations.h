//===- Activations.h - Names of activations in checkpoints --------------------------------===//
#ifndef ATTNC_FRONTEND_ACTIVATIONS_H
#define ATTNC_FRONTEND_ACTIVATIONS_H

#include "dialect/AttnDialect.h"
#include "frontend/Config.h"

namespace attnc {

/// The kind that transformers' `ACT2FN` (or a PyTorch module's lower-case name) calls `name`.
std::optional<attn::ActivationKind> activationFromName(llvm::StringRef name);

/// Reads `keys` as the name of an activation; notes a problem that lists the known names.
attn::ActivationKind readActivation(Config &config, llvm::StringRef keys, llvm::StringRef fallback);

} // namespace attnc

#endif // ATTNC_FRONTEND_ACTIVATIONS_H
