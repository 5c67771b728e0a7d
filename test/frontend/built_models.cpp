// built_models DIR: writes small models built from layers, DIR/NAME.mlir and DIR/NAME.safetensors, which test/e2e/layers.py
// compiles and compares with numpy. To add one: a row below, and its numpy function there.
#include "frontend/Layers.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace attnc;

static const ModelInput ids = {"ids", {"batch", "seq"}, /*ids=*/true}, mask = {"mask", {"batch", "keys"}, /*ids=*/true};
static ModelInput features(const char *name, int64_t width, const char *rows = "seq") { return {name, {"batch", rows, width}}; }

static Tensor dotProductAttention(Tensor query, Tensor key, Tensor value) {
  Tensor dots = matmul(query, transpose(key)) / std::sqrt(double(query.dim(-1).factor));
  return matmul(softmax(dots), value);
}

/// With a number in place of what is masked, as the course has it, or without a scale.
static Tensor causalDots(Tensor query, Tensor key, Tensor value) {
  Tensor dots = matmul(query, transpose(key));
  return matmul(softmax(where(causalMask(dots), dots, -1e9)), value);
}

/// A mask of the keys, which may hide all of them.
static Tensor maskedDots(Tensor query, Tensor key, Tensor value, Tensor mask) {
  Tensor dots = matmul(query, transpose(key)) / std::sqrt(double(query.dim(-1).factor));
  return matmul(softmax(where(insertDim(isNotZero(mask), 1), dots, -1e9)), value);
}

static Tensor attentionWeights(Tensor query, Tensor key) {
  Tensor dots = matmul(query, transpose(key)) / std::sqrt(double(query.dim(-1).factor));
  return softmax(where(causalMask(dots), dots, -INFINITY));
}

/// Multi-head attention from visible parts: 13 heads of 17.
static Layer headsFromParts() {
  Layer heads = Fn("AttnHeads", [](Tensor x) { return splitHeads(x, 13); });
  return Serial(Parallel(heads, heads, heads), Fn("DotProductAttn", dotProductAttention),
                Fn("AttnOutput", [](Tensor x) { return mergeHeads(x, 13); }));
}

struct Row {
  const char *name;
  Layer layer;
  std::vector<ModelInput> inputs;
  bool cached = false;
};

static std::vector<Row> models() {
  Layer addition = Fn("Addition", [](Tensor x, Tensor y) { return x + y; });
  ModelInput x = features("x", 6), y = features("y", 6), q = features("q", 221), k = features("k", 221, "keys"), v = features("v", 221, "keys");
  return {
      {"dot_product", Fn("DotProductAttn", dotProductAttention), {features("q", 7), features("k", 7, "keys"), features("v", 7, "keys")}},
      {"dot_product_causal", Fn("Causal", causalDots), {features("q", 7), features("k", 7), features("v", 7)}},
      {"dot_product_masked", Fn("Masked", maskedDots), {features("q", 7), features("k", 7, "keys"), features("v", 7, "keys"), mask}},
      {"attention_weights", Fn("Weights", attentionWeights), {features("q", 7), features("k", 7)}},
      {"heads_from_parts", headsFromParts(), {q, k, v}},
      {"heads_fused", Attention(13, /*causal=*/false), {q, k, v}},
      {"split_and_merge", Serial(Fn("Split", [](Tensor t) { return splitHeads(t, 13); }), Fn("Merge", [](Tensor t) { return mergeHeads(t, 13); })), {q}},
      {"split_heads", Fn("Split", [](Tensor t) { return splitHeads(t, 3) * 2.0; }), {{"x", {2, "seq", 6}}}},
      {"relu_of_heads", Serial(Fn("Split", [](Tensor t) { return splitHeads(t, 3); }), Relu(), Fn("Merge", [](Tensor t) { return mergeHeads(t, 3); })), {x}},
      {"between_heads", Serial(Fn("Split", [](Tensor t) { return splitHeads(t, 3); }), Residual(Relu(), Fn("Twice", [](Tensor t) { return t * 2.0; })),
                               Fn("Merge", [](Tensor t) { return mergeHeads(t, 3) + 1.0; })), {x}},
      {"heads_and_weights", Fn("Both", [](Tensor t) {
         Tensor heads = splitHeads(t, 3), weights = attentionWeights(heads, heads);
         return mergeHeads(matmul(weights, heads) + weights * 0.0, 3); // used twice: it is not raised
       }), {{"x", {"batch", 2, 6}}}},
      {"self_attention", Serial(Dup(), Dup(), Attention(2, /*causal=*/false)), {x}},
      {"causal_attention", CausalAttention(6, 2), {x}},
      {"attention_qkv", Serial(AttentionQKV(6, 3), Select({0}, 2)), {x, features("k", 6, "keys"), features("v", 6, "keys"), mask}},
      {"addition", addition, {x, y}},
      {"stack", Serial(Select({1, 0, 1}, 2), Parallel(Relu(), Gelu(), FastGelu()), Branch(addition, Drop()), Select({0})), {x, y}},
      {"residual", Serial(Dup(), Residual(Parallel(Relu(), Gelu()), addition), Residual(LayerNorm(), Dense(6))), {x}},
      {"split_concatenate", Serial(Split(3), Select({2, 0, 1}), Concatenate(3)), {x}},
      {"concatenate_two", Concatenate(), {x, features("y", 5)}},
      {"shift_right", ShiftRight(), {x}},
      {"shift_ids", Serial(ShiftRight(), Embedding(11, 6)), {ids}},
      {"functions", Fn("Functions", [](Tensor a, Tensor b) {
         Tensor positive = sqrt(a * a + 1.0);
         return std::vector<Tensor>{log(positive) - tanh(b) / 3.0, maximum(exp(b * -0.5), a)};
       }, 2), {x, y}},
      {"broadcast", Fn("Broadcast", [](Tensor a, Tensor b) { return a * b - b; }), {x, {"row", {6}}}},
      {"log_softmax", LogSoftmax(), {x}},
      {"one_task", Dense(9), {{"x", {3, 32}}}}, // so small that it is no parallel task
      {"positions", Serial(Embedding(11, 7), PositionalEncoding(40)), {ids}},
      {"learned_positions", Serial(Embedding(11, 7), PositionalEncoding(40, /*learned=*/true)), {ids}},
      {"external", Serial(Dense(6), External("twice"), External("blend", 2), Residual(External("twice"))), {x, y}},
      {"language_model",
       Serial(ShiftRight(), Embedding(23, 12), PositionalEncoding(40),
              Layers(3, Residual(LayerNorm(), CausalAttention(12, 3), Dropout())), LayerNorm(), Dense(23), LogSoftmax()),
       {ids}, /*cached=*/true},
  };
}

int main(int, char **argv) {
  mlir::MLIRContext context;
  for (const Row &row : models()) {
    llvm::SmallString<128> path(argv[1]);
    llvm::sys::path::append(path, row.name);
    ModelOptions options;
    options.name = row.name, options.cached = row.cached, options.output = row.cached ? "logits" : "output";
    options.limits = {{"seq", 40}, {"keys", 40}};
    std::string weights = std::string(row.name) + ".safetensors";
    Model model = llvm::cantFail(Model::build(&context, row.layer, row.inputs, weights, options));
    llvm::cantFail(saveInitialWeights(model.parameters, /*seed=*/1, (path + ".safetensors").str()));
    std::error_code error;
    llvm::raw_fd_ostream out((path + ".mlir").str(), error);
    model.module->print(out);
  }
}
