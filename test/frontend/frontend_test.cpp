//===- frontend_test.cpp - Config, importers, and the weights of a module --------------------===//
#include "Files.h"
#include "dialect/AttnDialect.h"
#include "frontend/Activations.h"
#include "frontend/Frontend.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

using namespace attnc;
using namespace attnc::test;

static const std::string fixtures = ATTN_FIXTURES "/gpt2/";

//===----------------------------------------------------------------------===//
// Config
//===----------------------------------------------------------------------===//

static Config config(llvm::StringRef json) {
  return Config(std::move(*llvm::cantFail(parseJson(json, "f")).getAsObject()), "f");
}

TEST(Config, TypedValues) {
  Config c = config(R"({"i":3,"whole":4.0,"n":1e-5,"t":true,"s":"x","ids":[1,2],"none":null,"new":7})");
  EXPECT_EQ(c.integer("i", 0, 9), 3);
  EXPECT_EQ(c.integer("whole", 0, 9), 4);
  EXPECT_EQ(c.number("n", 0, 1), 1e-5);
  EXPECT_EQ(c.number("i", 0, 9), 3.0);
  EXPECT_TRUE(c.flag("t"));
  EXPECT_EQ(c.string("s"), "x");
  EXPECT_EQ(c.integers("ids", 0, 9), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(c.integers("i", 0, 9), (std::vector<int64_t>{3}));
  EXPECT_TRUE(c.integers("none", 0, 9).empty());
  EXPECT_EQ(c.integer("none", 0, 9, 5), 5);
  EXPECT_EQ(c.integer("absent", 0, 9, 6), 6);
  EXPECT_EQ(c.integer("old|new", 0, 9), 7);
  EXPECT_EQ(c.number("absent", 0, 9, 0.5), 0.5);
  EXPECT_FALSE(c.flag("absent", false));
  EXPECT_EQ(c.string("absent", llvm::StringRef("y")), "y");
  EXPECT_EQ(text(c.takeProblems()), "");
}

TEST(Config, AllProblemsTogether) {
  Config c = config(R"({"big":1e30,"low":-1,"half":1.5,"text":"7","flag":0,"list":[],"object":{},"nan":"NaN"})");
  EXPECT_EQ(c.integer("big", 0, 9, 4), 4);
  EXPECT_EQ(c.integer("low", 1, 9), 1);
  c.integer("half", 0, 9);
  c.integer("text", 0, 9);
  c.integer("absent|other", 0, 9);
  c.number("big", 0, 0.5);
  c.number("nan", 0, 1);
  c.flag("flag");
  c.flag("list");
  c.string("object");
  c.integers("text", 0, 9);
  c.problem("expected more, got less");
  EXPECT_EQ(text(c.takeProblems()), "f: expected 'big' to be an integer from 0 to 9, got 1e+30\n"
                                    "f: expected 'low' to be an integer from 1 to 9, got -1\n"
                                    "f: expected 'half' to be an integer from 0 to 9, got 1.5\n"
                                    "f: expected 'text' to be an integer from 0 to 9, got '7'\n"
                                    "f: expected 'absent' to be an integer from 0 to 9, got none\n"
                                    "f: expected 'big' to be a number from 0 to 0.5, got 1e+30\n"
                                    "f: expected 'nan' to be a number from 0 to 1, got 'NaN'\n"
                                    "f: expected 'flag' to be true or false, got 0\n"
                                    "f: expected 'list' to be true or false, got an array\n"
                                    "f: expected 'object' to be a string, got an object\n"
                                    "f: expected 'text' to be integers from 0 to 9, at most 64, got '7'\n"
                                    "f: expected more, got less");
  EXPECT_EQ(text(c.takeProblems()), "");
}

TEST(Config, AtMostTwentyProblems) {
  Config c = config("{}");
  for (int i = 0; i < 23; ++i)
    c.problem("p" + llvm::Twine(i));
  std::string got = text(c.takeProblems());
  EXPECT_TRUE(llvm::StringRef(got).starts_with("f: p0\nf: p1\n")) << got;
  EXPECT_TRUE(llvm::StringRef(got).ends_with("\nf: p19\nf: and more")) << got;
}

TEST(Config, FileErrors) {
  Directory dir;
  EXPECT_EQ(text(Config::read(dir.path("c")), &dir), "cannot open DIR/c: no such file or directory");
  dir.write("c", "[1]");
  EXPECT_EQ(text(Config::read(dir.path("c")), &dir), "DIR/c: expected a JSON object");
  dir.write("c", std::string(70, '['));
  EXPECT_EQ(text(Config::read(dir.path("c")), &dir), "DIR/c: expected JSON nested at most 64 deep, got more at byte 64");
  dir.write("c", "");
  int fd;
  ASSERT_FALSE(llvm::sys::fs::openFileForWrite(dir.path("c"), fd));
  ASSERT_FALSE(llvm::sys::fs::resize_file(fd, 100'000'001));
  llvm::sys::fs::file_t file = llvm::sys::fs::convertFDToNativeFile(fd);
  llvm::sys::fs::closeFile(file);
  EXPECT_EQ(text(Config::read(dir.path("c")), &dir), "DIR/c: expected at most 100000000 bytes, got 100000001");
}

TEST(Activations, Names) {
  EXPECT_EQ(activationFromName("gelu_new"), attn::ActivationKind::gelu_tanh);
  EXPECT_EQ(activationFromName("gelu"), attn::ActivationKind::gelu);
  EXPECT_EQ(activationFromName("swish"), attn::ActivationKind::silu);
  EXPECT_EQ(activationFromName("linear"), attn::ActivationKind::none);
  EXPECT_EQ(activationFromName("gelu_10"), std::nullopt);
  Config c = config(R"({"a":"gelu_10","b":7})");
  readActivation(c, "a", "relu");
  EXPECT_EQ(text(c.takeProblems()),
            "f: expected 'a' to be one of elu, gelu, gelu_accurate, gelu_fast, gelu_new, gelu_python, "
            "gelu_python_tanh, gelu_pytorch_tanh, hardsigmoid, hardswish, leaky_relu, linear, mish, quick_gelu, relu, "
            "relu2, relu6, selu, sigmoid, silu, softplus, swish, tanh, got 'gelu_10'");
  EXPECT_EQ(readActivation(c, "b", "relu"), attn::ActivationKind::relu);
  EXPECT_EQ(text(c.takeProblems()), "f: expected 'b' to be a string, got 7");
}

//===----------------------------------------------------------------------===//
// GPT-2
//===----------------------------------------------------------------------===//

struct Import : testing::Test {
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string printed;

  void run(llvm::StringRef directory, StorageType dtype = StorageType::AsStored) {
    auto imported = importDirectory(&context, directory, {dtype});
    ASSERT_EQ(text(imported.takeError()), "");
    module = std::move(*imported);
    ASSERT_TRUE(mlir::succeeded(mlir::verify(*module)));
    printed.clear();
    llvm::raw_string_ostream os(printed);
    module->print(os);
    // The text is a complete .mlir: it reads back as the same module, and its weights are found.
    auto again = mlir::parseSourceString<mlir::ModuleOp>(printed, &context);
    ASSERT_TRUE(again);
    ASSERT_EQ(text(openWeights(*again, directory)), "");
  }
  bool has(llvm::StringRef piece) { return llvm::StringRef(printed).contains(piece); }
  size_t count(llvm::StringRef piece) { return llvm::StringRef(printed).count(piece); }
  /// The type of a parameter, "" if there is none of that name.
  std::string parameter(llvm::StringRef name) {
    std::string type;
    llvm::raw_string_ostream os(type);
    if (auto global = module->lookupSymbol<mlir::ml_program::GlobalOp>(name))
      os << global.getType();
    return type;
  }
  template <typename Op> Op only(llvm::StringRef function) {
    auto ops = module->lookupSymbol<mlir::func::FuncOp>(function).getOps<Op>();
    EXPECT_EQ(std::distance(ops.begin(), ops.end()), 1);
    return *ops.begin();
  }
};

TEST_F(Import, F32Tied) {
  run(fixtures + "f32");
  EXPECT_EQ(module->getName(), "f32");
  EXPECT_TRUE(has(R"(attn.weights = ["model.safetensors"])"));
  EXPECT_TRUE(has(R"(model_type = "gpt2")"));
  EXPECT_TRUE(has("vocab_size = 97 : i64"));
  EXPECT_TRUE(has("context = 40 : i64"));
  EXPECT_TRUE(has("bos_token_id = 0 : i64"));          // config.json
  EXPECT_TRUE(has("eos_token_id = array<i64: 1, 7>")); // generation_config.json
  EXPECT_TRUE(has("pad_token_id = 2 : i64"));
  EXPECT_TRUE(has("!attn.cache<2x3x8x8xf32>"));
  EXPECT_EQ(only<attn::ActivationOp>("block").getKind(), attn::ActivationKind::gelu);
  EXPECT_EQ(count("func.func private @"), 2u); // one block for forward, one for prefill, decode and verify
  EXPECT_EQ(count("call @block("), 2u);
  EXPECT_EQ(count("call @cached_block("), 6u);
  EXPECT_EQ(count("ml_program.global private"), 28u);
  EXPECT_FALSE(only<attn::AttentionOp>("block").getScale());
  EXPECT_TRUE(only<attn::AttentionOp>("block").getCausal());
  EXPECT_TRUE(only<attn::LinearOp>("forward").getTransposeWeight());
  auto decode = module->lookupSymbol<mlir::func::FuncOp>("decode");
  EXPECT_EQ(llvm::cast<mlir::RankedTensorType>(decode.getArgumentTypes()[0]).getDimSize(1), 1);
  EXPECT_TRUE(decode.getArgAttr(1, "attn.optional"));
  EXPECT_FALSE(decode.getArgAttr(0, "attn.optional"));
}

TEST_F(Import, Bf16UntiedScaledByLayer) {
  run(fixtures + "bf16");
  EXPECT_EQ(parameter("transformer.h.1.mlp.c_fc.weight"), "tensor<52x71xbf16>");
  EXPECT_EQ(parameter("lm_head.weight"), "tensor<65x52xbf16>");
  EXPECT_EQ(only<attn::ActivationOp>("block").getKind(), attn::ActivationKind::relu);
  EXPECT_EQ(count("func.func private @"), 4u); // a scale for each layer
  EXPECT_FALSE(only<attn::AttentionOp>("block").getScale());
  EXPECT_DOUBLE_EQ(only<attn::AttentionOp>("block_1").getScale()->convertToDouble(), 0.5 / 2); // 1/√4 / 2
  EXPECT_DOUBLE_EQ(only<attn::AttentionOp>("cached_block_1").getScale()->convertToDouble(), 0.25);
}

TEST_F(Import, F16WithoutPrefixUnscaled) {
  run(fixtures + "f16");
  EXPECT_EQ(parameter("h.0.ln_1.weight"), "tensor<13xf16>");
  EXPECT_EQ(parameter("h.0.attn.masked_bias"), "");
  EXPECT_EQ(only<attn::ActivationOp>("block").getKind(), attn::ActivationKind::silu);
  EXPECT_TRUE(has("epsilon = 9.9999999999999995E-7"));
  EXPECT_EQ(only<attn::AttentionOp>("block").getScale()->convertToDouble(), 1.0);
  EXPECT_EQ(count("func.func private @"), 2u);
}

TEST_F(Import, ShardedMixedTypes) {
  run(fixtures + "sharded");
  EXPECT_TRUE(has(R"(["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])"));
  EXPECT_EQ(parameter("transformer.wte.weight"), "tensor<41x16xf32>"); // stored as F64
  EXPECT_EQ(only<attn::ActivationOp>("block").getKind(), attn::ActivationKind::gelu_tanh);
  EXPECT_EQ(count("func.func private @"), 4u); // layers differ in type
}

TEST_F(Import, StorageTypeOption) {
  run(fixtures + "sharded", StorageType::BF16);
  EXPECT_EQ(parameter("transformer.h.0.ln_1.weight"), "tensor<16xbf16>");
  EXPECT_EQ(count("func.func private @"), 2u);
  run(fixtures + "bf16", StorageType::F32);
  EXPECT_FALSE(has("bf16>"));
  run(fixtures + "f32", StorageType::F16);
  EXPECT_EQ(parameter("transformer.h.0.attn.c_attn.weight"), "tensor<24x72xf16>");
}

TEST_F(Import, SameTextTwice) {
  run(fixtures + "f32");
  std::string first = printed;
  run(fixtures + "f32");
  EXPECT_EQ(first, printed);
}

/// A copy of a fixture with another config.json.
struct Broken : Import {
  Directory dir;
  void copy(llvm::StringRef fixture) {
    dir.copy(fixtures + fixture.str() + "/model.safetensors", "model.safetensors");
    dir.copy(fixtures + fixture.str() + "/config.json", "config.json");
  }
  std::string import() { return text(importDirectory(&context, dir.path()), &dir); }
  std::string import(llvm::StringRef config) {
    dir.write("config.json", config);
    return import();
  }
};

TEST_F(Broken, Directory) {
  EXPECT_EQ(text(importDirectory(&context, dir.path("none")), &dir), "DIR/none: expected a model directory");
  EXPECT_EQ(import(), "cannot open DIR/config.json: no such file or directory");
  EXPECT_EQ(import("{}"), "DIR/config.json: expected 'model_type' to be a string, got none");
  EXPECT_EQ(import(R"({"model_type":["gpt2"]})"),
            "DIR/config.json: expected 'model_type' to be a string, got an array");
  std::string known;
  for (const Family &family : families())
    known += family.modelType.str() + ", ";
  EXPECT_EQ(import(R"({"model_type":"rwkv"})"),
            "DIR/config.json: expected 'model_type' to be one of " + known + "got 'rwkv'");
  EXPECT_EQ(import(R"({"model_type":"gpt2","quantization_config":{"quant_method":"gptq"}})"),
            "DIR/config.json: expected weights that are not quantised, got 'quantization_config' with 'quant_method' "
            "'gptq'");
  EXPECT_EQ(import(R"({"model_type":"gpt2"})"),
            "DIR: expected model.safetensors or model.safetensors.index.json");
}

TEST_F(Broken, ConfigValues) {
  copy("f32");
  EXPECT_EQ(import(R"({"model_type":"gpt2","vocab_size":0,"n_positions":-1,"n_embd":1048577,"n_layer":4097,
                       "n_head":"x","n_inner":1.5,"layer_norm_epsilon":2,"scale_attn_weights":1,
                       "tie_word_embeddings":"yes","add_cross_attention":true})"),
            "DIR/config.json: expected 'vocab_size' to be an integer from 1 to 2147483647, got 0\n"
            "DIR/config.json: expected 'n_positions' to be an integer from 1 to 2147483647, got -1\n"
            "DIR/config.json: expected 'n_embd' to be an integer from 1 to 1048576, got 1048577\n"
            "DIR/config.json: expected 'n_layer' to be an integer from 1 to 4096, got 4097\n"
            "DIR/config.json: expected 'n_head' to be an integer from 1 to 65536, got 'x'\n"
            "DIR/config.json: expected 'n_inner' to be an integer from 1 to 4194304, got 1.5\n"
            "DIR/config.json: expected 'layer_norm_epsilon' to be a number from 0 to 1, got 2\n"
            "DIR/config.json: expected 'scale_attn_weights' to be true or false, got 1\n"
            "DIR/config.json: expected 'tie_word_embeddings' to be true or false, got 'yes'\n"
            "DIR/config.json: expected 'add_cross_attention' to be false, got true: cross attention is not supported");
  EXPECT_EQ(import(R"({"model_type":"gpt2","n_embd":24,"n_head":5})"),
            "DIR/config.json: expected 'n_embd' divisible by 'n_head', got 24 and 5");
}

TEST_F(Broken, TokenIds) {
  copy("f32");
  dir.write("generation_config.json", R"({"eos_token_id":"x","bos_token_id":[-7]})");
  EXPECT_EQ(import(), "DIR/generation_config.json: expected 'bos_token_id' to be integers from -1 to 2147483647, at "
                      "most 64, got an array\n"
                      "DIR/generation_config.json: expected 'eos_token_id' to be integers from -1 to 2147483647, at "
                      "most 64, got 'x'");
  dir.write("generation_config.json", "7");
  EXPECT_EQ(import(), "DIR/generation_config.json: expected a JSON object");
  dir.write("generation_config.json", R"({"eos_token_id":-1})");
  run(dir.path());
  EXPECT_FALSE(has("eos_token_id"));
}

TEST_F(Broken, Tensors) {
  copy("f32"); // its true config but one layer more, a wider feed-forward layer and an untied head
  std::string got =
      import(R"({"model_type":"gpt2","vocab_size":97,"n_positions":40,"n_embd":24,"n_layer":3,"n_head":3,
                 "n_inner":97,"tie_word_embeddings":false})");
  EXPECT_TRUE(llvm::StringRef(got).starts_with(
      "DIR: tensor 'transformer.h.0.mlp.c_fc.weight': expected shape [24, 97], got [24, 96]\n"
      "DIR: tensor 'transformer.h.0.mlp.c_fc.bias': expected shape [97], got [96]\n"
      "DIR: tensor 'transformer.h.0.mlp.c_proj.weight': expected shape [97, 24], got [96, 24]\n"))
      << got;
  EXPECT_TRUE(llvm::StringRef(got).contains(
      "DIR: tensor 'transformer.h.2.mlp.c_proj.bias': expected shape [24], got no such tensor\n"))
      << got;
  EXPECT_TRUE(llvm::StringRef(got).ends_with(
      "DIR: tensor 'lm_head.weight': expected shape [97, 24], got no such tensor"))
      << got;
  got = import(R"({"model_type":"gpt2"})"); // GPT-2 124M: 148 parameters, none fits
  EXPECT_TRUE(llvm::StringRef(got).ends_with("\nDIR: and more")) << got;
}

TEST_F(Broken, TensorTypes) {
  dir.write("model.safetensors", safetensors(R"({"wte.weight":{"dtype":"F8_E4M3","shape":[2,1],"data_offsets":[0,2]},
                                                 "wpe.weight":{"dtype":"I64","shape":[1,1],"data_offsets":[2,10]}})",
                                             10));
  std::string got = import(R"({"model_type":"gpt2","vocab_size":2,"n_positions":1,"n_embd":1,"n_layer":1,"n_head":1})");
  EXPECT_TRUE(llvm::StringRef(got).starts_with(
      "DIR: tensor 'wte.weight': expected type F64, F32, F16 or BF16, got 'F8_E4M3'\n"
      "DIR: tensor 'wpe.weight': expected type F64, F32, F16 or BF16, got 'I64'\n"))
      << got;
}

TEST_F(Broken, TruncatedFile) {
  copy("f32");
  std::string bytes = (*llvm::MemoryBuffer::getFile(dir.path("model.safetensors")))->getBuffer().str();
  dir.write("model.safetensors", llvm::StringRef(bytes).drop_back(2));
  EXPECT_EQ(import(), "DIR/model.safetensors: tensor 'transformer.ln_f.bias': expected data within the file's 71134 "
                      "bytes of data, got [71040, 71136) (is the file truncated?)");
}

//===----------------------------------------------------------------------===//
// The weights of a module
//===----------------------------------------------------------------------===//

struct Weights : testing::Test {
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  Directory dir;
  Weights() {
    context.loadDialect<attn::AttnDialect, mlir::ml_program::MLProgramDialect>();
    dir.write("w", safetensors(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
                                   "b":{"dtype":"F32","shape":[3],"data_offsets":[24,36]},
                                   "c":{"dtype":"BF16","shape":[2,5],"data_offsets":[36,56]},
                                   "d":{"dtype":"I32","shape":[3],"data_offsets":[56,68]}})",
                               68));
  }
  std::string open(llvm::StringRef attributes, llvm::StringRef globals) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(
        ("module attributes {" + attributes + "} {" + globals + "}").str(), &context);
    EXPECT_TRUE(module);
    return module ? text(openWeights(*module, dir.path()), &dir) : "";
  }
  std::string open(llvm::StringRef globals) { return open("attn.weights = [\"w\"]", globals); }
};

TEST_F(Weights, Plain) {
  EXPECT_EQ(open("", ""), "");
  EXPECT_EQ(open("ml_program.global private @a(#ml_program.extern<tensor<2x3xf32>>) : tensor<2x3xf32>"), "");
  EXPECT_EQ(open("ml_program.global private @a(#ml_program.extern<tensor<2x3xbf16>>) : tensor<2x3xbf16>"), "");
  EXPECT_EQ(open("ml_program.global private @x(#ml_program.extern<tensor<2x3xf32>>) : tensor<2x3xf32> "
                 "{attn.source = [\"a\"]}"),
            "");
  // Not a parameter: its value is in the module.
  EXPECT_EQ(open("", "ml_program.global private @x(dense<0.0> : tensor<4xf32>) : tensor<4xf32>"), "");
  EXPECT_EQ(open("attn.weights = [\"" + dir.path("w") + "\"]",
                 "ml_program.global private @b(#ml_program.extern<tensor<3xf32>>) : tensor<3xf32>"),
            "");
}

TEST_F(Weights, Packed) {
  auto packed = [&](llvm::StringRef attributes) {
    return open(("ml_program.global private @x(#ml_program.extern<tensor<1x2x16xf32>>) : tensor<1x2x16xf32> {" +
                 attributes + "}")
                    .str());
  };
  EXPECT_EQ(packed(R"(attn.source = ["a"], attn.pack = {kind = "panels", transposed = false, k = 2 : i64, n = 3 : i64})"),
            "");
  EXPECT_EQ(packed(R"(attn.source = ["a"], attn.pack = {kind = "panels", transposed = true, k = 3 : i64, n = 2 : i64})"),
            "");
  EXPECT_EQ(packed(R"(attn.source = ["a", "c"], attn.pack.parts = array<i64: 3, 5>,
                      attn.pack = {kind = "panels", transposed = false, k = 2 : i64, n = 8 : i64})"),
            "");
  EXPECT_EQ(packed(R"(attn.source = ["a", "c"], attn.pack.parts = array<i64: 4, 4>,
                      attn.pack = {kind = "panels", transposed = false, k = 2 : i64, n = 8 : i64})"),
            "weights: parameter @x: expected tensor 'a' of shape [2, 4], got [2, 3] in DIR/w\n"
            "weights: parameter @x: expected tensor 'c' of shape [2, 4], got [2, 5] in DIR/w");
  EXPECT_EQ(packed(R"(attn.source = ["a", "c"], attn.pack = {kind = "panels", k = 2 : i64, n = 8 : i64})"),
            "weights: parameter @x: expected 1 sources, got 2");
  EXPECT_EQ(packed(R"(attn.source = ["a", "a", "a"], attn.pack.parts = array<i64: 3>,
                      attn.pack = {kind = "panels", k = 2 : i64, n = 3 : i64, experts = 3 : i64, stacked})"),
            "");
  EXPECT_EQ(packed(R"(attn.source = ["a"], attn.pack = {kind = "panels", k = 2 : i64, n = 3 : i64, experts = 4 : i64})"),
            "weights: parameter @x: expected tensor 'a' of shape [4, 2, 3], got [2, 3] in DIR/w");
  EXPECT_EQ(packed(R"(attn.source = ["a"], attn.pack = {kind = "panels", k = 2 : i64, n = 3 : i64, experts = 4 : i64, stacked})"),
            "weights: parameter @x: expected 4 sources, got 1");
  EXPECT_EQ(packed(R"(attn.source = ["a"], attn.pack = {kind = "panels"})"),
            "weights: parameter @x: expected 'k' and 'n' in 'attn.pack'");
  EXPECT_EQ(packed(R"(attn.source = ["a"], attn.pack = {kind = "plain"}, attn.pack.parts = array<i64: 2>)"),
            "weights: parameter @x: expected one source for a parameter of rank 3");
  EXPECT_EQ(open(R"(ml_program.global private @x(#ml_program.extern<tensor<6xf32>>) : tensor<6xf32>
                    {attn.source = ["b", "b"], attn.pack = {kind = "plain"}, attn.pack.parts = array<i64: 3, 3>})"),
            "");
}

TEST_F(Weights, Errors) {
  const char *parameter = "ml_program.global private @a(#ml_program.extern<tensor<3x2xf32>>) : tensor<3x2xf32>";
  const char *expected = "expected the module attribute 'attn.weights' to be an array of safetensors files";
  EXPECT_EQ(open("", parameter), expected);
  EXPECT_EQ(open("attn.weights = 7", ""), expected);
  EXPECT_EQ(open("attn.weights = [7]", ""), expected);
  EXPECT_EQ(open("attn.weights = [\"x\"]", ""), "cannot open DIR/x: no such file or directory");
  EXPECT_EQ(open(parameter), "weights: parameter @a: expected tensor 'a' of shape [3, 2], got [2, 3] in DIR/w");
  EXPECT_EQ(open("ml_program.global private @z(#ml_program.extern<tensor<3xf32>>) : tensor<3xf32>"),
            "weights: parameter @z: expected tensor 'z' of shape [3], got no such tensor");
  EXPECT_EQ(open("ml_program.global private @d(#ml_program.extern<tensor<3xf32>>) : tensor<3xf32>"),
            "weights: parameter @d: expected tensor 'd' of type F64, F32, F16 or BF16, got 'I32'");
  EXPECT_EQ(open("ml_program.global private @d(#ml_program.extern<tensor<?xf32>>) : tensor<?xf32>"),
            "weights: parameter @d: expected a tensor type with static shape");
  EXPECT_EQ(open("ml_program.global private @b(#ml_program.extern<tensor<3xf32>>) : tensor<3xf32> {attn.source = 7}"),
            "weights: parameter @b: expected 'attn.source' to be an array of tensor names");
}
