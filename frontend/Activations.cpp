//===- Activations.cpp - Names of activations in checkpoints ------------------------------===//
#include "frontend/Activations.h"

namespace attnc {

using attn::ActivationKind;

namespace {
struct NameRow {
  llvm::StringRef name;
  ActivationKind kind;
};
// Not here, because no op computes them: gelu_10 (clipped), laplace, prelu and xielu (which have parameters).
constexpr NameRow names[] = {
    {"elu", ActivationKind::elu},
    {"gelu", ActivationKind::gelu},
    {"gelu_accurate", ActivationKind::gelu_tanh},
    {"gelu_fast", ActivationKind::gelu_tanh},
    {"gelu_new", ActivationKind::gelu_tanh},
    {"gelu_python", ActivationKind::gelu},
    {"gelu_python_tanh", ActivationKind::gelu_tanh},
    {"gelu_pytorch_tanh", ActivationKind::gelu_tanh},
    {"hardsigmoid", ActivationKind::hard_sigmoid},
    {"hardswish", ActivationKind::hard_swish},
    {"leaky_relu", ActivationKind::leaky_relu},
    {"linear", ActivationKind::none},
    {"mish", ActivationKind::mish},
    {"quick_gelu", ActivationKind::quick_gelu},
    {"relu", ActivationKind::relu},
    {"relu2", ActivationKind::relu2},
    {"relu6", ActivationKind::relu6},
    {"selu", ActivationKind::selu},
    {"sigmoid", ActivationKind::sigmoid},
    {"silu", ActivationKind::silu},
    {"softplus", ActivationKind::softplus},
    {"swish", ActivationKind::silu},
    {"tanh", ActivationKind::tanh},
};
} // namespace

std::optional<ActivationKind> activationFromName(llvm::StringRef name) {
  for (const NameRow &row : names)
    if (row.name == name)
      return row.kind;
  return std::nullopt;
}

ActivationKind readActivation(Config &config, llvm::StringRef keys, llvm::StringRef fallback) {
  llvm::StringRef name = config.string(keys, fallback);
  if (std::optional<ActivationKind> kind = activationFromName(name))
    return *kind;
  std::string known;
  for (const NameRow &row : names)
    known += (known.empty() ? "" : ", ") + row.name.str();
  config.problem("expected '" + keys.split('|').first + "' to be one of " + known + ", got " + quoted(name));
  return ActivationKind::none;
}

} // namespace attnc
