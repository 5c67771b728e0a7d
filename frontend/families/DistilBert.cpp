//===- DistilBert.cpp - Import DistilBERT (Sanh et al. 2019) --------------------------------------===//
// BERT without token types and pooler. Keys of config.json and tensor names: transformers' DistilBertConfig and
// DistilBertModel, with or without the prefix "distilbert.". Sinusoidal positions are stored like learned ones.
#include "frontend/families/Bert.h"

namespace attnc {
namespace {
class DistilBert : public Bert {
public:
  explicit DistilBert(ImportContext &import) : Bert(import, names(), {30522, /*layers=*/6}) {
    epsilon = 1e-12;
    headActivation = attn::ActivationKind::relu;
  }

private:
  static Names names() {
    Names names;
    names.widthKey = "dim|hidden_size";
    names.layersKey = "n_layers|num_hidden_layers";
    names.headsKey = "n_heads|num_attention_heads";
    names.innerKey = "hidden_dim";
    names.activationKey = "activation";
    names.prefix = "distilbert.";
    names.layers = "transformer.layer.";
    names.query = "attention.q_lin";
    names.key = "attention.k_lin";
    names.value = "attention.v_lin";
    names.out = "attention.out_lin";
    names.attentionNorm = "sa_layer_norm";
    names.inner = "ffn.lin1";
    names.outer = "ffn.lin2";
    names.outputNorm = "output_layer_norm";
    names.headInner = "pre_classifier";
    names.headOuter = "classifier";
    return names;
  }
};
} // namespace

llvm::Error importDistilBert(ImportContext &import) { return DistilBert(import).build("distilbert"); }

} // namespace attnc
