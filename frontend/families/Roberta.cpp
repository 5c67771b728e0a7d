//===- Roberta.cpp - Import RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020) --------===//
// BERT whose positions count tokens that are not padding. Keys of config.json and tensor names: transformers'
// RobertaConfig and RobertaModel, with or without the prefix "roberta.".
#include "frontend/families/Bert.h"

namespace attnc {
namespace {
class Roberta : public Bert {
public:
  Roberta(ImportContext &import, const Defaults &defaults) : Bert(import, names(), defaults) {
    readTypes();
    if (config.isNull("pad_token_id"))
      config.problem("expected 'pad_token_id' to be a token, got null: positions count the others");
    countFromPad(config.integer("pad_token_id", 0, INT32_MAX, 1));
  }

private:
  static Names names() {
    Names names;
    names.prefix = "roberta.";
    names.headInner = "classifier.dense";
    names.headOuter = "classifier.out_proj";
    return names;
  }
};
} // namespace

llvm::Error importRoberta(ImportContext &import) { return Roberta(import, {50265}).build("roberta"); }
llvm::Error importXLMRoberta(ImportContext &import) { return Roberta(import, {}).build("xlm-roberta"); }

} // namespace attnc
