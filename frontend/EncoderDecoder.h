//===- EncoderDecoder.h - What encoder–decoders share: entries, cache, cross attention ------===//
#ifndef ATTNC_FRONTEND_ENCODERDECODER_H
#define ATTNC_FRONTEND_ENCODERDECODER_H

#include "frontend/GraphBuilder.h"

namespace attnc {

/// A model that reads one sequence and writes another. A family derives from it: the constructor reads the configuration
/// (problems are collected in `config`), and the functions below say how the model computes. `build` adds
///
///   forward(input_ids, attention_mask [batch, seq], decoder_input_ids, decoder_attention_mask [batch, decoder_seq])
///     → logits [batch, decoder_seq, vocab]
///   encode(input_ids, attention_mask [batch, seq], state) → encoder_last_hidden_state [batch, seq, width]
///   prefill(decoder_input_ids [batch, seq], decoder_attention_mask [batch, keys], logits_index [batch], state)
///     → logits [batch, vocab] of one token per sequence, the last one or the one at logits_index
///   decode: prefill of one token
///
/// `encode` keeps every decoder layer's keys and values of the encoder's output in the state, without padding. Decoder
/// inputs are taken as they are, not shifted.
class EncoderDecoder {
public:
  virtual ~EncoderDecoder() = default;
  llvm::Error build(llvm::StringRef modelType);

protected:
  enum class Side { encoder, decoder };

  /// `prefix`: see GraphBuilder.
  EncoderDecoder(ImportContext &import, llvm::StringRef prefix) : import(import), config(import.config), b(import, prefix) {}

  /// [batch, seq, width] of `ids [batch, seq]`, after those in `cache` if that is not null; adds to `stack.tables` what the
  /// layers share.
  virtual mlir::Value embed(Side side, mlir::Value ids, mlir::Value cache, Stack &stack) = 0;
  /// Names of layer `index`'s parameters begin with this.
  virtual std::string layerPrefix(Side side, int64_t index) const = 0;
  virtual mlir::Value encoderLayer(mlir::Value x, const Stack &stack) = 0;
  virtual mlir::Value decoderLayer(mlir::Value x, const Stack &stack) = 0;
  /// What a decoder layer's cross attention reads of the encoder's output: keys and values.
  virtual std::pair<mlir::Value, mlir::Value> crossKeysValues(mlir::Value memory) = 0;
  /// After the last layer.
  virtual mlir::Value finish(Side side, mlir::Value x) { return x; }
  /// Logits [..., vocab] of `x [..., width]`.
  virtual mlir::Value head(mlir::Value x) = 0;

  /// Attention of a decoder layer to the encoder's output, cached or not.
  mlir::Value crossAttention(const Stack &stack, mlir::Value query, const AttentionOptions &options);

  int64_t vocab = 0, context = 0, width = 0;
  int64_t encoderLayers = 0, decoderLayers = 0, encoderHeads = 0, decoderHeads = 0, headDim = 0; // of the decoder

  ImportContext &import;
  Config &config;
  GraphBuilder b;

private:
  mlir::Value run(Side side, mlir::Value ids, Stack stack);
  void forward();
  void encode();
  /// An entry that appends to the state: logits of one token, or of each.
  void cached(llvm::StringRef name, int64_t seq, bool everyToken = false);
};

} // namespace attnc

#endif // ATTNC_FRONTEND_ENCODERDECODER_H
