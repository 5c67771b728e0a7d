//===- builder_test.cpp - Models built from layers: shapes, errors, parameters, weights ------===//
#include "Files.h"
#include "frontend/Layers.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"

using namespace attnc;
using namespace attnc::test;

static const ModelInput ids = {"ids", {"batch", "seq"}, /*ids=*/true}, x = {"x", {"batch", "seq", 8}},
                        y = {"y", {"batch", "keys", 8}};

/// The type of each result, or the error.
static std::string built(const Layer &layer, llvm::ArrayRef<ModelInput> inputs, std::vector<ModelParameter> *parameters = nullptr,
                         const ModelOptions &options = {}) {
  mlir::MLIRContext context;
  llvm::Expected<Model> model = Model::build(&context, layer, inputs, "model.safetensors", options);
  if (!model)
    return text(model.takeError());
  if (parameters)
    *parameters = model->parameters;
  std::string types;
  llvm::raw_string_ostream out(types);
  auto func = model->module->lookupSymbol<mlir::func::FuncOp>("forward");
  llvm::interleaveComma(func.getResultTypes(), out);
  return types;
}

static std::string stack(int64_t tensors) {
  std::string types = tensors ? "tensor<?x?x8xf32>" : "";
  return tensors > 1 ? types + ", " + stack(tensors - 1) : types;
}

TEST(Combinators, StackSemantics) {
  Layer add = Fn("Addition", [](Tensor a, Tensor b) { return a + b; });
  EXPECT_EQ(built(Serial(Dup(), add), x), stack(1));
  EXPECT_EQ(built(Select({0, 0, 0}), x), stack(3));
  EXPECT_EQ(built(Drop(), {x, y}), stack(1));
  EXPECT_EQ(built(Branch(Relu(), list(Relu(), Gelu()), FastGelu()), x), stack(3));
  EXPECT_EQ(built(Parallel(Relu(), add), {x, y, y}), stack(2));
  EXPECT_EQ(built(Serial(Split(2), Concatenate()), x), stack(1));
  EXPECT_EQ(built(Serial(Select({1, 0}), Drop()), {x, y}), stack(1)); // y
  EXPECT_EQ(built(Residual(Dense(8), Dropout()), x), stack(1));
  EXPECT_EQ(built(Fn("Two", [](Tensor a) { return std::vector<Tensor>{a, a * 2.0}; }, 2), x), stack(2));
  EXPECT_EQ(built(ShiftRight(), ids), "tensor<?x?xi64>");

  Layer swap = Select({1, 0});
  EXPECT_EQ(swap.inputs(), 2);
  EXPECT_EQ(swap.outputs(), 2);
  EXPECT_EQ(Serial(Dup(), Dup(), add).inputs(), 1);
  EXPECT_EQ(Serial(Dup(), Dup(), add).outputs(), 2);
  EXPECT_EQ(Serial(add, add).inputs(), 3);
  EXPECT_EQ(Branch(add, Relu()).inputs(), 2);
  EXPECT_EQ(Parallel(add, Relu()).inputs(), 3);
  EXPECT_EQ(Residual(AttentionQKV(8)).inputs(), 4);
  EXPECT_EQ(Residual(AttentionQKV(8)).outputs(), 2);
}

TEST(Layers, SymbolicShapes) {
  EXPECT_EQ(built(Serial(Embedding(10, 6), PositionalEncoding(), LayerNorm(), Dense(3), LogSoftmax()), ids),
            "tensor<?x?x3xf32>");
  EXPECT_EQ(built(CausalAttention(26, 13), x), "tensor<?x?x26xf32>");
  EXPECT_EQ(built(Fn("Scores", [](Tensor a, Tensor b) { return matmul(a, transpose(b)); }), {x, y}), "tensor<?x?x?xf32>");
  EXPECT_EQ(built(Fn("Heads", [](Tensor a) { return mergeHeads(splitHeads(a, 4), 4); }), x), stack(1));
}

TEST(Layers, MisuseNamesPathSignatureAndStack) {
  struct {
    Layer layer;
    std::vector<ModelInput> inputs;
    const char *error;
  } cases[] = {
      {Serial(Relu(), Residual(Dense(8), Dense(9))), {x},
       "Serial[1] > Residual, x → x + layers(x): expected layers that keep the shape of x, got ([batch, seq, 8]) → "
       "([batch, seq, 9]), on the stack ([batch, seq, 9])"},
      {Serial(Dense(4), Fn("Addition", [](Tensor a, Tensor b) { return a + b; })), {x},
       "Serial[1] > Addition, 2 tensors → 1 tensor: expected 2 tensors, got 1, on the stack ([batch, seq, 4])"},
      {Fn("Addition", [](Tensor a, Tensor b) { return a + b; }), {x, y},
       "Addition, 2 tensors → 1 tensor: +: expected f32 tensors of shapes that broadcast, got [batch, seq, 8] and "
       "[batch, keys, 8], on the stack ([batch, seq, 8], [batch, keys, 8])"},
      {Branch(Relu(), list(Dense(8))), {ids},
       "Branch[0] > Relu, f32 → f32: expected f32 values of rank at least 1, got [batch, seq] i64, on the stack ([batch, seq] i64)"},
      {CausalAttention(8, 3), {x},
       "CausalAttention[1] > Attention, 3 tensors → 1 tensor: expected [batch, queries, features], [batch, keys, features] twice, "
       "with features a multiple of 3 heads, got [batch, seq, 8], [batch, seq, 8] and [batch, seq, 8], on the stack "
       "([batch, seq, 8], [batch, seq, 8], [batch, seq, 8])"},
      {Serial(Embedding(9, 8)), {x},
       "Serial > Embedding, ids [...] → [..., 8]: expected ids of rank at least 2, got [batch, seq, 8], on the stack ([batch, seq, 8])"},
      {Dense(0), {x},
       "Dense, [..., K] → [..., 0]: expected features from 1 to 2147483647, got 0, on the stack ([batch, seq, 8])"},
      {PositionalEncoding(), {x},
       "PositionalEncoding, [batch, seq, features] → the same: expected an input of ids [batch, seq], got none, on the stack "
       "([batch, seq, 8])"},
      {Select({2}, 1), {x},
       "Select, Select(2) of 1 tensor: expected indices from 0 to 0, got 2, on the stack ([batch, seq, 8])"},
      {Split(3), {x},
       "Split, 1 tensor → 3 tensors: split: expected f32 features that are a multiple of 3, got [batch, seq, 8], on the stack "
       "([batch, seq, 8])"},
      {Concatenate(), {x, y},
       "Concatenate, 2 tensors → 1 tensor: concatenate: expected f32 tensors that differ in their features only, got "
       "[batch, seq, 8] and [batch, keys, 8], on the stack ([batch, seq, 8], [batch, keys, 8])"},
      {Fn("Two", [](Tensor a) { return std::vector<Tensor>{a}; }, 2), {x},
       "Two, 1 tensor → 2 tensors: expected 2 tensors from its function, got 1, on the stack ([batch, seq, 8])"},
      {Fn("None", [](Tensor) { return Tensor(); }), {x},
       "None, 1 tensor → 1 tensor: expected tensors from its function, got a null tensor, on the stack ([batch, seq, 8])"},
      {Fn("Heads", [](Tensor a) { return splitHeads(a, 3); }), {x},
       "Heads, 1 tensor → 1 tensor: splitHeads: expected f32 [batch, seq, features] with features a multiple of 3, got "
       "[batch, seq, 8], on the stack ([batch, seq, 8])"},
      {Fn("Product", [](Tensor a, Tensor b) { return matmul(a, b); }), {x, y},
       "Product, 2 tensors → 1 tensor: matmul: expected f32 [..., rows, K] and [..., K, columns] of rank 2 to 4, got "
       "[batch, seq, 8] and [batch, keys, 8], on the stack ([batch, seq, 8], [batch, keys, 8])"},
      {Fn("Mask", [](Tensor a, Tensor b) { return where(isNotZero(a), b, 0); }), {ids, x},
       "Mask, 2 tensors → 1 tensor: where: expected an i1 mask that broadcasts to an f32 tensor, got [batch, seq] i1 and "
       "[batch, seq, 8], on the stack ([batch, seq] i64, [batch, seq, 8])"},
      {Fn("NotZero", [](Tensor a) { return isNotZero(a); }), {x},
       "NotZero, 1 tensor → 1 tensor: isNotZero: expected ids, got [batch, seq, 8], on the stack ([batch, seq, 8])"},
      {Fn("Insert", [](Tensor a) { return insertDim(a, 4); }), {x},
       "Insert, 1 tensor → 1 tensor: insertDim: expected a place from 0 to 3, got 4, on the stack ([batch, seq, 8])"},
      {Fn("Exp", [](Tensor a) { return exp(a); }), {ids},
       "Exp, 1 tensor → 1 tensor: exp: expected an f32 tensor, got [batch, seq] i64, on the stack ([batch, seq] i64)"},
      {Fn("Merge", [](Tensor a) { return mergeHeads(a, 3); }), {x},
       "Merge, 1 tensor → 1 tensor: mergeHeads: expected f32 [3·batch, seq, head_dim], got [batch, seq, 8], on the stack "
       "([batch, seq, 8])"},
      {Fn("Host", [](Tensor a) { return external("f", {a}, {{"rows", 8}}); }), {x},
       "Host, 1 tensor → 1 tensor: external: expected dimensions of the inputs or positive ones, got [rows, 8], on the stack ([batch, seq, 8])"},
      {Fn("Host", [](Tensor a) { return external("f", {a}, {{0, 8}}); }), {x},
       "Host, 1 tensor → 1 tensor: external: expected dimensions of the inputs or positive ones, got [0, 8], on the stack ([batch, seq, 8])"},
      {External(""), {x},
       ", 1 tensor → 1 tensor: external: expected the name of a function, got none, on the stack ([batch, seq, 8])"},
      {Fn("Host", [](Tensor a) { return external("f", {isNotZero(a)}, {a.shape()}); }), {ids},
       "Host, 1 tensor → 1 tensor: external: expected f32 tensors or ids of rank at least 1, got [batch, seq] i1, on the stack ([batch, seq] i64)"},
      {Fn("Host", [](Tensor a) { return external("f", {a}, {}); }), {x},
       "Host, 1 tensor → 1 tensor: external: expected results, and 64 tensors at most, got 1 inputs and 0 results, on the stack ([batch, seq, 8])"},
      {Fn("Host", [](Tensor a) { return external("f", {a}, {Shape()}); }), {x},
       "Host, 1 tensor → 1 tensor: external: expected results of rank 1 to 8, got [], on the stack ([batch, seq, 8])"},
      {External("f", 0), {x}, "f, 0 tensors → 1 tensor: expected 1 to 64 tensors, got 0, on the stack ([batch, seq, 8])"},
      {Concatenate(-1), {x}, "Concatenate, -1 tensors → 1 tensor: expected 1 to 64 tensors, got -1, on the stack ([batch, seq, 8])"},
      {Select({INT64_MAX}), {x}, "Select, Select(9223372036854775807) of 64 tensors: expected 64 tensors, got 1, on the stack ([batch, seq, 8])"},
      {LogSoftmax(), {{"x", {"batch", "seq"}}},
       "LogSoftmax, [..., K] → [..., K]: log_softmax: expected a fixed number of features, got [batch, seq], on the stack ([batch, seq])"},
      {LayerNorm(), {{"x", {"batch", "seq"}}},
       "LayerNorm, [..., K] → [..., K]: expected a fixed number of features, got [batch, seq], on the stack ([batch, seq])"},
      {Dense(3), {{"x", {"batch", "seq"}}},
       "Dense, [..., K] → [..., 3]: expected a fixed number of features, got [batch, seq], on the stack ([batch, seq])"},
      {Fn("Transpose", [](Tensor a) { return transpose(a); }), {{"x", {8}}},
       "Transpose, 1 tensor → 1 tensor: transpose: expected a tensor of rank at least 2, got [8], on the stack ([8])"},
      {Fn("Mask", [](Tensor a) { return causalMask(a); }), {{"x", {8}}},
       "Mask, 1 tensor → 1 tensor: causalMask: expected scores [..., queries, keys], got [8], on the stack ([8])"},
      {Fn("Softmax", [](Tensor a) { return softmax(a); }), {ids},
       "Softmax, 1 tensor → 1 tensor: softmax: expected an f32 tensor of rank at least 1, got [batch, seq] i64, on the stack ([batch, seq] i64)"},
      {Attention(2, false, /*masked=*/true), {x, y, y, ids},
       "Attention, 4 tensors → 2 tensors: expected a mask [batch, keys] i64, got [batch, seq] i64, on the stack ([batch, seq, 8], "
       "[batch, keys, 8], [batch, keys, 8], [batch, seq] i64)"},
      {Fn("Shift", [](Tensor a) { return shiftRight(isNotZero(a)); }), {ids},
       "Shift, 1 tensor → 1 tensor: shiftRight: expected ids or f32 [batch, seq, ...], got [batch, seq] i1, on the stack ([batch, seq] i64)"},
      {Relu(), {{"x", {"batch", Dim("seq", 2)}}}, "input 'x': expected dimensions that are names or positive, got [batch, 2·seq]"},
      {Relu(), {{"x", {0, 8}}}, "input 'x': expected dimensions that are names or positive, got [0, 8]"},
      {Fn("NotZero", [](Tensor a) { return isNotZero(a); }), {ids}, "output 'output': expected f32 or i64, got [batch, seq] i1"},
      {Fn("Heads", [](Tensor a) { return splitHeads(a, 2); }), {x},
       "output 'output': expected dimensions of the inputs, got [2·batch, seq, 4]"},
  };
  for (auto &row : cases)
    EXPECT_EQ(built(row.layer, row.inputs), row.error);
  ModelOptions options;
  options.limits = {{"seq", 0}};
  EXPECT_EQ(built(Relu(), {x}, nullptr, options), "dimension 'seq': expected a limit from 1 to 2147483647, got 0");
}

TEST(Layers, WhatIsCachedIsCausalAttentionOnly) {
  ModelOptions options;
  options.cached = true;
  auto cached = [&](const Layer &layer, const ModelInput &input) { return built(Serial(Embedding(9, 8), layer), input, nullptr, options); };
  EXPECT_EQ(cached(CausalAttention(8, 2), ids), "tensor<?x?x8xf32>");
  EXPECT_EQ(built(CausalAttention(8, 2), x, nullptr, options), "a cached model: expected one input of ids [batch, seq]");
  EXPECT_EQ(cached(Relu(), ids), "a cached model: expected causal Attention with the same heads in all layers, got none");
  EXPECT_EQ(cached(Serial(CausalAttention(8, 2), CausalAttention(8, 4)), ids),
            "a cached model: expected causal Attention with the same heads in all layers, got different heads");
  auto refused = [](const char *path, const char *got, const char *stack = "([batch, seq, 8])") {
    return std::string(path) + ": a cached model: expected causal Attention to its own tokens as all that mixes them, got " + got +
           ", on the stack " + stack;
  };
  EXPECT_EQ(cached(Serial(Dup(), Dup(), Attention(2, false)), ids),
            refused("Serial[1] > Serial[2] > Attention, 3 tensors → 1 tensor", "Attention that is not causal or is masked",
                    "([batch, seq, 8], [batch, seq, 8], [batch, seq, 8])"));
  EXPECT_EQ(cached(Serial(CausalAttention(8, 2), ShiftRight()), ids),
            refused("Serial[1] > Serial[1] > ShiftRight, 1 tensor → 1 tensor", "shiftRight of another tensor than the ids"));
  auto dots = Fn("Dots", [](Tensor a) { return matmul(matmul(a, transpose(a)), a); });
  EXPECT_EQ(cached(Serial(CausalAttention(8, 2), dots), ids), refused("Serial[1] > Serial[1] > Dots, 1 tensor → 1 tensor", "transpose"));
  EXPECT_EQ(cached(Serial(CausalAttention(8, 2), External("f")), ids), refused("Serial[1] > Serial[1] > f, 1 tensor → 1 tensor", "external"));
  auto heads = Fn("Heads", [](Tensor a) { return splitHeads(a, 2); });
  EXPECT_EQ(cached(Serial(heads, Dup(), Dup(), Attention(1, true), Fn("Merge", [](Tensor a) { return mergeHeads(a, 2); })), ids),
            refused("Serial[1] > Serial[3] > Attention, 3 tensors → 1 tensor", "Attention of other rows than the ids'",
                    "([2·batch, seq, 4], [2·batch, seq, 4], [2·batch, seq, 4])"));
  Layer embedding = Embedding(9, 8), add = Fn("Add", [](Tensor a, Tensor b) { return a + b; });
  EXPECT_EQ(built(Serial(ShiftRight(), ShiftRight(), embedding, CausalAttention(8, 2)), ids, nullptr, options),
            refused("Serial[1] > ShiftRight, 1 tensor → 1 tensor", "shiftRight of another tensor than the ids", "([batch, seq] i64)"));
  EXPECT_EQ(built(Serial(Branch(list(ShiftRight(), embedding), embedding), add, CausalAttention(8, 2)), ids, nullptr, options),
            "a cached model: expected ids that only ShiftRight reads, got others, too");
  EXPECT_EQ(cached(Serial(CausalAttention(8, 2), Dup()), ids), "a cached model: expected one output [batch, seq, features]");
}

TEST(Layers, ParametersAreNamedAfterPaths) {
  std::vector<ModelParameter> parameters;
  built(Serial(Embedding(10, 8), Residual(LayerNorm(), Dense(8))), ids, &parameters);
  std::vector<std::string> names;
  for (const ModelParameter &parameter : parameters)
    names.push_back(parameter.name);
  EXPECT_EQ(names, (std::vector<std::string>{"Serial.0.Embedding.weight", "Serial.1.Residual.0.LayerNorm.weight",
                                             "Serial.1.Residual.0.LayerNorm.bias", "Serial.1.Residual.1.Dense.weight",
                                             "Serial.1.Residual.1.Dense.bias"}));
}

TEST(Layers, EqualResidualsAreOneFunction) {
  mlir::MLIRContext context;
  Layer block = Residual(LayerNorm(), CausalAttention(8, 2));
  Model model = llvm::cantFail(Model::build(&context, Serial(block, block, block), x));
  EXPECT_EQ(llvm::range_size(model.module->getOps<mlir::func::FuncOp>()), 2u);
}

TEST(Weights, SeedsReproduceAndFilesAreRead) {
  Directory directory;
  std::vector<ModelParameter> parameters = {{"a.weight", {40, 60}, {Initializer::GlorotUniform}},
                                       {"a.bias", {60}, {Initializer::Constant, 0.5}},
                                       {"b", {2000}, {Initializer::Normal, 2}}};
  auto values = [&](uint64_t seed, llvm::StringRef name) {
    std::string path = directory.path("w.safetensors");
    EXPECT_EQ(text(saveInitialWeights(parameters, seed, path)), "");
    WeightSet set = llvm::cantFail(WeightSet::openFiles(path));
    TensorView view = *set.find(name);
    std::vector<float> out(view.elements());
    readAsFloat(view, 0, out);
    return out;
  };
  EXPECT_EQ(values(1, "a.weight"), values(1, "a.weight"));
  EXPECT_NE(values(1, "a.weight"), values(2, "a.weight"));
  EXPECT_EQ(values(1, "a.bias"), std::vector<float>(60, 0.5f));
  for (float value : values(3, "a.weight"))
    EXPECT_LE(std::abs(value), 0.2450f); // sqrt(6 / 100)
  double sum = 0, squares = 0;
  for (float value : values(4, "b"))
    sum += value, squares += value * value;
  EXPECT_NEAR(sum / 2000, 0, 0.2);
  EXPECT_NEAR(squares / 2000, 4, 0.5);
  EXPECT_EQ(text(saveInitialWeights(parameters, 0, directory.path("."))),
            "cannot write '" + directory.path(".") + "': Is a directory");
  EXPECT_EQ(text(saveInitialWeights({{"a", {INT64_MAX / 4, 3}, {}}}, 0, directory.path("w"))),
            "parameter 'a': expected a shape whose bytes fit 63 bits, got [2305843009213693951, 3]");
  EXPECT_EQ(text(saveInitialWeights(parameters, 0, directory.path("no/w"))),
            "cannot write '" + directory.path("no/w") + "': No such file or directory");
}
