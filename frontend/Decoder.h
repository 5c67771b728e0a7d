//===- Decoder.h - What decoders share: entries, cache, one function per kind of layer -----===//
#ifndef ATTNC_FRONTEND_DECODER_H
#define ATTNC_FRONTEND_DECODER_H

#include "frontend/GraphBuilder.h"

namespace attnc {

/// A language model that predicts the next token. A family derives from it: the constructor reads the configuration into
/// the sizes below (problems are collected in `config`), and three functions say how the model computes. `build` adds
///
///   forward(input_ids, attention_mask, position_ids [batch, seq]) → logits [batch, seq, vocab]
///   prefill(input_ids, position_ids [batch, seq], attention_mask [batch, keys], logits_index [batch], cache)
///     → logits [batch, vocab] of one token per sequence, the last one or the one at logits_index
///   decode: prefill of one token
///
/// position_ids only if the family has them.
class Decoder {
public:
  virtual ~Decoder() = default;
  llvm::Error build(llvm::StringRef modelType);

protected:
  /// `prefix`: see GraphBuilder.
  Decoder(ImportContext &import, llvm::StringRef prefix) : import(import), config(import.config), b(import, prefix) {}

  /// What one entry gives.
  struct Inputs {
    mlir::Value ids;       // [batch, seq]
    mlir::Value mask;      // [batch, keys], optional at run time
    mlir::Value positions; // [batch, seq], optional at run time; null without `takesPositions`
    mlir::Value cache;     // null in forward
  };

  /// [batch, seq, width] of the tokens; adds to `stack.tables` what the layers share.
  virtual mlir::Value embed(const Inputs &inputs, Stack &stack) = 0;
  /// Names of layer `index`'s parameters begin with this.
  virtual std::string layerPrefix(int64_t index) const = 0;
  virtual mlir::Value layer(int64_t index, mlir::Value x, const Stack &stack) = 0;
  /// Logits [..., vocab] of `x [..., width]`.
  virtual mlir::Value head(mlir::Value x) = 0;

  int64_t vocab = 0, context = 0, width = 0, layers = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0;
  bool takesPositions = true; // an input position_ids

  ImportContext &import;
  Config &config;
  GraphBuilder b;

private:
  mlir::Value run(const Inputs &inputs);
  void forward();
  /// An entry that appends to the state: logits of one token, or of each.
  void cached(llvm::StringRef name, int64_t seq, bool everyToken = false);
};

} // namespace attnc

#endif // ATTNC_FRONTEND_DECODER_H
