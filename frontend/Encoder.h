//===- Encoder.h - What encoders share: the entry, one function per kind of layer ---------===//
#ifndef ATTNC_FRONTEND_ENCODER_H
#define ATTNC_FRONTEND_ENCODER_H

#include "frontend/GraphBuilder.h"

namespace attnc {

/// A model that maps tokens to vectors. A family derives from it: the constructor reads the configuration (problems are
/// collected in `config`), and three functions say how the model computes. `build` adds
///
///   forward(input_ids, attention_mask, token_type_ids, position_ids [batch, seq])
///     → last_hidden_state [batch, seq, width], and what `outputs` adds
///
/// and sentence_embedding where the directory has modules of sentence-transformers. All inputs but the first may be left
/// out; which of the last two there are is the family's choice.
class Encoder {
public:
  virtual ~Encoder() = default;
  llvm::Error build(llvm::StringRef modelType);

protected:
  /// `prefix`: see GraphBuilder.
  Encoder(ImportContext &import, llvm::StringRef prefix) : import(import), config(import.config), b(import, prefix) {}

  struct Inputs {
    mlir::Value ids, mask, types, positions; // [batch, seq]; types and positions are null where there is no such input
  };

  /// [batch, seq, width] of the tokens; adds to `stack.tables` what the layers share.
  virtual mlir::Value embed(const Inputs &inputs, Stack &stack) = 0;
  /// Names of layer `index`'s parameters begin with this.
  virtual std::string layerPrefix(int64_t index) const = 0;
  virtual mlir::Value layer(int64_t index, mlir::Value x, const Stack &stack) = 0;
  /// After the last layer.
  virtual mlir::Value finish(mlir::Value x) { return x; }
  /// What comes after last_hidden_state `x`: a pooler, the heads of `task`.
  virtual void outputs(mlir::Value x, const Inputs &inputs, llvm::SmallVectorImpl<Output> &outputs) {}

  /// The head that the checkpoint's class has on top: "SequenceClassification" of `BertForSequenceClassification`; empty
  /// for none.
  std::string task() const;
  /// Of a classifier.
  int64_t labels();
  int64_t vocab = 0, context = 0, width = 0, layers = 0, heads = 0;
  bool hasTypes = false, hasPositions = true;

  ImportContext &import;
  Config &config;
  GraphBuilder b;
};

} // namespace attnc

#endif // ATTNC_FRONTEND_ENCODER_H
