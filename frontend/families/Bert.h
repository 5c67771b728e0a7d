//===- Bert.h - BERT, and what its relatives vary -------------------------------------------===//
#ifndef ATTNC_FRONTEND_FAMILIES_BERT_H
#define ATTNC_FRONTEND_FAMILIES_BERT_H

#include "frontend/Activations.h"
#include "frontend/Encoder.h"
#include "frontend/families/Families.h"

namespace attnc {

/// Post-norm encoder with learned positions (Devlin et al. 2019). A relative derives from it, says what its checkpoints
/// call things, and sets in its constructor what it does differently.
class Bert : public Encoder {
public:
  /// Keys of config.json, and names of parameters: in a layer, and of the two products of a sequence's head.
  struct Names {
    llvm::StringRef widthKey = "hidden_size", layersKey = "num_hidden_layers", headsKey = "num_attention_heads";
    llvm::StringRef innerKey = "intermediate_size", activationKey = "hidden_act";
    llvm::StringRef prefix = "bert.", layers = "encoder.layer.";
    llvm::StringRef query = "attention.self.query", key = "attention.self.key", value = "attention.self.value";
    llvm::StringRef out = "attention.output.dense", attentionNorm = "attention.output.LayerNorm";
    llvm::StringRef inner = "intermediate.dense", outer = "output.dense", outputNorm = "output.LayerNorm";
    llvm::StringRef headInner = "bert.pooler.dense", headOuter = "classifier";
  };
  /// What a configuration that lacks these keys means.
  struct Defaults {
    int64_t vocab = 30522, layers = 12;
  };
  Bert(ImportContext &import, const Names &names, const Defaults &defaults);

protected:
  /// Positions count tokens other than `pad`, from `pad` + 1 on.
  void countFromPad(int64_t pad);
  /// Reads how many types of tokens there are.
  void readTypes();
  mlir::Value embed(const Inputs &inputs, Stack &stack) override;

  double epsilon;
  attn::ActivationKind headActivation = attn::ActivationKind::tanh; // between the products of a sequence's head

private:
  std::string layerPrefix(int64_t index) const override {
    return (names.prefix + names.layers + llvm::Twine(index) + ".").str();
  }
  mlir::Value layer(int64_t index, mlir::Value x, const Stack &stack) override;
  void outputs(mlir::Value x, const Inputs &inputs, llvm::SmallVectorImpl<Output> &outputs) override;

  Names names;
  int64_t inner, entries, types = 0; // entries: of the table of positions
  std::optional<int64_t> pad;
  attn::ActivationKind activation;
};

} // namespace attnc

#endif // ATTNC_FRONTEND_FAMILIES_BERT_H
