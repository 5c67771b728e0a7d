// What attn.interface and attn.parameters may say; both can be written by hand.
#include "backends/Header.h"
#include "backends/Interface.h"
#include "runtime/attn_abi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace attnc;
using llvm::failed;
using llvm::FailureOr;
using llvm::succeeded;

namespace {
struct Interface : testing::Test {
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  std::string text;
  mlir::OwningOpRef<mlir::ModuleOp> module;

  Interface() {
    context.loadDialect<attn::AttnDialect, mlir::arith::ArithDialect, mlir::func::FuncDialect>();
    context.printOpOnDiagnostic(false);
    context.getDiagEngine().registerHandler([this](mlir::Diagnostic &diagnostic) { text = diagnostic.str(); });
  }
  void parse(const std::string &source) {
    text.clear();
    module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
    ASSERT_TRUE((bool)module) << source << text;
  }
  /// The message of reading these entries.
  std::string entries(const std::string &attr) {
    parse("module attributes {attn.interface = " + attr + "} {}");
    return failed(readInterface(*module)) ? text : "ok";
  }
  std::string entry(const std::string &fields) { return entries("[{name = \"f\", " + fields + "}]"); }
  std::string parameters(const std::string &attr, const std::string &bytes = "4096 : i64") {
    parse("module attributes {attn.parameters = [" + attr + "], attn.weights_bytes = " + bytes + "} {}");
    return failed(readParameters(*module)) ? text : "ok";
  }
};

const std::string kTensor = "{name = \"x\", type = tensor<?x4xf32>, dims = [\"n\"]}";

TEST_F(Interface, Entries) {
  EXPECT_EQ(entry("inputs = [" + kTensor + "], outputs = []"), "ok");
  parse("module {}");
  EXPECT_TRUE(failed(readInterface(*module)));
  EXPECT_EQ(text, "expected attribute attn.interface: continue from an earlier stage");
  EXPECT_EQ(entries("[]"), "expected at least one public function with a body, got none");
  EXPECT_EQ(entries("[1 : i64]"), "entry 0: expected name, inputs and outputs");
  EXPECT_EQ(entries("[{name = \"f\", inputs = [], outputs = []}], attn.externals = [3 : i64]"),
            "attn.externals: expected an array of names, got [3]");
  EXPECT_EQ(entry("inputs = [], outputs = 3 : i64"), "entry 0: expected name, inputs and outputs");
  std::string same = "{name = \"f\", inputs = [], outputs = []}";
  EXPECT_EQ(entries("[" + same + ", " + same + "]"), "entry 'f': expected different names of entries");
  std::string many;
  for (int i = 0; i < 65; ++i)
    many += (i ? ", " : "") + kTensor;
  EXPECT_EQ(entry("inputs = [" + many + "], outputs = []"), "entry 'f': expected 64 inputs and outputs at most, got 65");
}

TEST_F(Interface, Tensors) {
  auto tensor = [&](const std::string &fields) { return entry("inputs = [{" + fields + "}], outputs = []"); };
  EXPECT_EQ(entry("inputs = [3 : i64], outputs = []"), "entry 'f': expected a dictionary per tensor");
  EXPECT_EQ(tensor("name = \"x\", dims = []"), "entry 'f': expected name, type and dims of a tensor");
  EXPECT_EQ(tensor("name = \"x\", dims = [], type = tensor<*xf32>"), "entry 'f': expected name, type and dims of a tensor");
  EXPECT_EQ(tensor("name = \"x\", dims = [], type = tensor<4xcomplex<f32>>"),
            "entry 'f': expected 'x' to have a type of numbers of at most 64 bits, got 'tensor<4xcomplex<f32>>'");
  EXPECT_EQ(tensor("name = \"x\", dims = [], type = tensor<4xi128>"),
            "entry 'f': expected 'x' to have a type of numbers of at most 64 bits, got 'tensor<4xi128>'");
  EXPECT_EQ(tensor("name = \"x\", dims = [], type = tensor<1x1x1x1x1x1x1x1x1xf32>"),
            "entry 'f': expected 'x' to have rank 8 at most, got 'tensor<1x1x1x1x1x1x1x1x1xf32>'");
  EXPECT_EQ(tensor("name = \"x\", dims = [], type = tensor<?xf32>"),
            "entry 'f': expected a name for each of the 1 dynamic dimensions of 'x', got 0");
  EXPECT_EQ(tensor("name = \"x\", dims = [1 : i64], type = tensor<?xf32>"),
            "entry 'f': expected strings as names of the dimensions of 'x'");
  EXPECT_EQ(entry("inputs = [], outputs = [" + kTensor + "]"), "entry 'f': expected dimension 'n' of 'x' to be one of an input");
  EXPECT_EQ(entry("inputs = [" + kTensor + ", " + kTensor + "], outputs = []"),
            "entry 'f': expected different names of inputs and outputs, got 'x' twice");
  std::string inputs;
  for (int i = 0; i < 9; ++i) {
    std::string names;
    for (int d = 0; d < 8; ++d)
      names += (d ? ", \"d" : "\"d") + std::to_string(8 * i + d) + "\"";
    inputs += (i ? ", " : "") + ("{name = \"x" + std::to_string(i)) + "\", type = tensor<?x?x?x?x?x?x?x?xf32>, dims = [" + names + "]}";
  }
  EXPECT_EQ(entry("inputs = [" + inputs + "], outputs = []"), "entry 'f': expected 64 named dimensions at most");
}

TEST_F(Interface, Bounds) {
  auto bounds = [&](const std::string &attr) { return entry("inputs = [" + kTensor + "], outputs = [], bounds = " + attr); };
  EXPECT_EQ(bounds("{n = array<i64: 2, 7>}"), "ok");
  EXPECT_EQ(bounds("3 : i64"), "entry 'f': expected a dictionary as attn.bounds");
  EXPECT_EQ(bounds("{m = array<i64: 2, 7>}"), "entry 'f': expected the name of a dimension in attn.bounds, got 'm'");
  for (std::string range : {"array<i64: 2>", "array<i64: -1, 2>", "array<i64: 3, 2>", "array<i64: 1, 2147483648>", "[1, 2]"})
    EXPECT_TRUE(llvm::StringRef(bounds("{n = " + range + "}"))
                    .starts_with("entry 'f': expected array<i64: min, max> with 0 ≤ min ≤ max < 2^31 as bounds of 'n', got "));
}

TEST_F(Interface, Caches) {
  std::string first = "inputs = [{name = \"ids\", type = tensor<?x?xi64>, dims = [\"b\", \"s\"]}], outputs = [], cache = ";
  EXPECT_EQ(entry(first + "!attn.cache<2x3x5x7xf32>"), "ok");
  FailureOr<ModelInterface> model = readInterface(*module);
  EXPECT_EQ(model->tokenBytes(), 4u * 2 * 3 * (5 + 16));
  EXPECT_EQ(entry(first + "!attn.cache<2x3x5x7xbf16>"), "ok");
  EXPECT_EQ(readInterface(*module)->tokenBytes(), 2u * 2 * 3 * (5 + 16));
  EXPECT_EQ(entry(first + "f32"), "entry 'f': expected one cache type in all entries, got f32");
  EXPECT_EQ(entry("inputs = [" + kTensor + "], outputs = [], cache = !attn.cache<2x3x5x7xf32>"), "ok");
  EXPECT_EQ(entry("inputs = [], outputs = [], cache = !attn.cache<2x3x5x7xf32>"),
            "entry 'f': expected a first input [batch, seq, ...] that is not optional, because it uses a cache");
  std::string big = "!attn.cache<1000000000x1000000000x5x7xf32>";
  EXPECT_TRUE(llvm::StringRef(entry(first + big)).starts_with("expected a cache that fits into memory, got"));
}

TEST_F(Interface, Int32) {
  EXPECT_EQ(entry("inputs = [{name = \"ids\", type = tensor<?xi64>, dims = [\"n\"], int32}], outputs = []"), "ok");
  EXPECT_TRUE(readInterface(*module)->entries[0].inputs[0].int32);
  EXPECT_EQ(entry("inputs = [{name = \"ids\", type = tensor<?xf64>, dims = [\"n\"], int32}], outputs = []"),
            "entry 'f': expected 'ids', which may be int32, to be an input of i64, got 'tensor<?xf64>'");
  EXPECT_EQ(entry("inputs = [], outputs = [{name = \"ids\", type = tensor<3xi64>, dims = [], int32}]"),
            "entry 'f': expected 'ids', which may be int32, to be an input of i64, got 'tensor<3xi64>'");
  parse("func.func @f(%ids: tensor<3xi64> {attn.int32}, %at: tensor<3xi64>) { return }");
  ASSERT_TRUE(succeeded(recordInterface(*module)));
  EXPECT_TRUE(readInterface(*module)->entries[0].inputs[0].int32);
  EXPECT_FALSE(readInterface(*module)->entries[0].inputs[1].int32);
}

TEST_F(Interface, CrossCaches) {
  std::string cache = "!attn.cache<2x3x5x7xf32>", cross = "!attn.cache<2x3x5x7xf32, cross>";
  std::string mask = ", {name = \"mask\", type = tensor<?x?xi64>, dims = [\"b\", \"s\"], cross_mask}";
  auto entryOf = [](const std::string &name, const std::string &more, const std::string &fields) {
    return "{name = \"" + name + "\", inputs = [{name = \"ids\", type = tensor<?x?xi64>, dims = [\"b\", \"s\"]}" + more +
           "], outputs = [], bounds = {s = array<i64: 1, 512>}" + fields + "}";
  };
  std::string encode = entryOf("encode", mask, ", fills_cross, cross = " + cross);
  std::string decode = entryOf("decode", "", ", cache = " + cache + ", cross = " + cross);
  ASSERT_EQ(entries("[" + encode + ", " + decode + "]"), "ok");
  FailureOr<ModelInterface> model = readInterface(*module);
  EXPECT_EQ(model->crossTokens, 512);
  EXPECT_EQ(model->tokenBytes(), 4u * 2 * 3 * (5 + 16));
  EXPECT_EQ(model->entries[0].usesState, ATTN_STATE_FILLS_CROSS);
  EXPECT_EQ(model->entries[1].usesState, unsigned(ATTN_STATE_APPENDS | ATTN_STATE_READS_CROSS));
  EXPECT_TRUE(model->entries[0].inputs[1].crossMask);
  EXPECT_EQ(entries("[" + decode + "]"), "entry 'decode': expected another entry that appends to the cross cache which this one reads");
  EXPECT_EQ(entries("[" + entryOf("f", "", ", cross = " + cache) + "]"),
            "entry 'f': expected one cache type in all entries, got !attn.cache<2x3x5x7xf32>");
  EXPECT_EQ(entries("[" + entryOf("f", "", ", cache = " + cross) + "]"),
            "entry 'f': expected one cache type in all entries, got !attn.cache<2x3x5x7xf32, cross>");
  EXPECT_EQ(entries("[" + encode + ", " + entryOf("f", "", ", cache = !attn.cache<2x3x5x8xf32>") + "]"),
            "entry 'f': expected one cache type in all entries, got !attn.cache<2x3x5x8xf32>");
  EXPECT_EQ(entries("[" + entryOf("f", "", ", fills_cross, cache = " + cache + ", cross = " + cross) + "]"),
            "entry 'f': expected either fills_cross or a cache");
  std::string notAMask = "', which selects what the cross cache gets, to be integers of shape [batch, seq] as in the first input";
  EXPECT_EQ(entries("[" + entryOf("f", mask, "") + "]"), "entry 'f': expected 'mask" + notAMask);
  EXPECT_EQ(entries("[" + entryOf("f", ", {name = \"m\", type = tensor<?xi64>, dims = [\"b\"], cross_mask}", ", fills_cross, cross = " + cross) + "]"),
            "entry 'f': expected 'm" + notAMask);
  EXPECT_EQ(entries("[" + entryOf("f", ", {name = \"m\", type = tensor<?x?xf32>, dims = [\"b\", \"s\"], cross_mask}", ", fills_cross, cross = " + cross) + "]"),
            "entry 'f': expected 'm" + notAMask);
}

/// Which input selects the tokens of the cross cache follows from calls.
TEST_F(Interface, RecordedCrossMask) {
  std::string k = "tensor<?x?x4xf32>", m = "tensor<?x?xi64>", cross = "!attn.cache<1x1x4x4xf32, cross>";
  auto record = [&](const std::string &body, const std::string &more = "") {
    parse("func.func private @fill(%k: " + k + ", %m: " + m + ", %c: " + cross + ", %l: index) {"
          "  attn.cache_append %k, %k to %c[%l] key_mask %m : " + k + ", " + k + ", " + cross + ", " + m + " return }"
          "func.func private @outer(%m: " + m + ", %k: " + k + ", %c: " + cross + ", %l: index) {"
          "  call @fill(%k, %m, %c, %l) : (" + k + ", " + m + ", " + cross + ", index) -> () return }"
          "func.func @encode(%k: " + k + " {attn.dims = [\"b\", \"s\"]}, %a: " + m + " {attn.dims = [\"b\", \"s\"]}, %b: " + m +
          " {attn.dims = [\"b\", \"s\"]}, %c: " + cross + more + ") { %l = arith.constant 0 : index " + body + " return }");
    text.clear();
    return succeeded(recordInterface(*module));
  };
  auto fill = [&](const std::string &mask) { return "call @fill(%k, %" + mask + ", %c, %l) : (" + k + ", " + m + ", " + cross + ", index) -> ()\n"; };
  std::string outer = "call @outer(%b, %k, %c, %l) : (" + m + ", " + k + ", " + cross + ", index) -> ()\n";
  ASSERT_TRUE(record(fill("b") + outer)) << text;
  FailureOr<ModelInterface> model = readInterface(*module);
  ASSERT_TRUE(succeeded(model)) << text;
  EXPECT_FALSE(model->entries[0].inputs[1].crossMask);
  EXPECT_TRUE(model->entries[0].inputs[2].crossMask);
  EXPECT_EQ(model->crossTokens, 2147483647);
  std::string differs = "'attn.cache_append' op expected the same input of the entry as key_mask wherever the cross cache gets keys";
  EXPECT_FALSE(record(fill("b") + fill("a")));
  EXPECT_TRUE(llvm::StringRef(text).starts_with(differs)) << text;
  EXPECT_FALSE(record(fill("a") + outer));
  EXPECT_FALSE(record(fill("a") + "attn.cache_append %k, %k to %c[%l] : " + k + ", " + k + ", " + cross));
  EXPECT_FALSE(record("%t = attn.shift_right %a : (" + m + ") -> " + m + " " + fill("t")));
  EXPECT_TRUE(llvm::StringRef(text).starts_with(differs)) << text;
  std::string alone = "'func.func' op expected an entry that appends to the cross cache not to read it, and to have no other cache";
  EXPECT_FALSE(record(fill("a"), ", %own: !attn.cache<1x1x4x4xf32>"));
  EXPECT_EQ(text, alone);
  EXPECT_FALSE(record(fill("a") + "%x = attn.attention %k cache %c[%l] {num_heads = 1 : i64} : (" + k + ", " + cross + ", index) -> " + k));
  EXPECT_EQ(text, alone);
}

TEST_F(Interface, Windows) {
  std::string cache = "cache = !attn.cache<2x3x5x7xf32>";
  auto entryOf = [&](const std::string &name, const std::string &seq, const std::string &fields) {
    return "{name = \"" + name + "\", inputs = [{name = \"ids\", type = tensor<?x" + (seq == "?" ? "?xi64>, dims = [\"b\", \"s\"]" : seq + "xi64>, dims = [\"b\"]") +
           "}], outputs = [], " + cache + fields + "}";
  };
  std::string bounds = ", bounds = {s = array<i64: 1, 512>}", a = ", window = 100 : i64, sinks = 4 : i64", b = ", window = 90 : i64, sinks = 6 : i64";
  auto ring = [&](const std::string &attr) {
    EXPECT_EQ(entries(attr), "ok");
    return readInterface(*module)->ringTokens();
  };
  EXPECT_EQ(ring("[" + entryOf("f", "?", bounds + a) + ", " + entryOf("g", "1", b) + "]"), 612);
  EXPECT_EQ(readInterface(*module)->window, 100);
  EXPECT_EQ(readInterface(*module)->sinks, 6);
  EXPECT_EQ(ring("[" + entryOf("f", "?", bounds + a) + ", " + entryOf("g", "1", "") + "]"), 0); // one reads everything
  EXPECT_EQ(ring("[" + entryOf("f", "?", a) + "]"), 0);                                         // any length
  EXPECT_EQ(ring("[" + entryOf("g", "7", b) + "]"), 97);
  for (std::string wrong : {", window = -1 : i64, sinks = 0 : i64", ", window = 1 : i64", ", window = 2147483648 : i64, sinks = 0 : i64",
                            ", window = 1 : i64, sinks = -1 : i64", ", window = \"1\", sinks = 0 : i64"})
    EXPECT_TRUE(llvm::StringRef(entries("[" + entryOf("f", "1", wrong) + "]")).starts_with("entry 'f': expected window and sinks from 0 to 2147483647, got "))
        << text;
}

/// What is recorded for a function with these attentions over its cache, in a block that it calls.
TEST_F(Interface, RecordedWindows) {
  auto recorded = [&](const std::string &attributes, const std::string &more = "", const std::string &types = "") -> std::string {
    parse("func.func private @block(%q: tensor<?x?x4xf32>, %n: tensor<?xi64>, %c: !attn.cache<1x1x4x4xf32>) {"
          "  %l = arith.constant 0 : index"
          "  %0 = attn.attention %q cache %c[%l] {causal, num_heads = 1 : i64, window_left = 9 : i64}"
          "     : (tensor<?x?x4xf32>, !attn.cache<1x1x4x4xf32>, index) -> tensor<?x?x4xf32>"
          "  %1 = attn.attention %q cache %c[%l] " + more + " {num_heads = 1 : i64" + attributes + "}"
          "     : (tensor<?x?x4xf32>, !attn.cache<1x1x4x4xf32>, index" + types + ") -> tensor<?x?x4xf32> return }"
          "func.func @f(%q: tensor<?x?x4xf32> {attn.dims = [\"b\", \"s\"], attn.strided}, %n: tensor<?xi64> {attn.dims = [\"b\"]},"
          "             %c: !attn.cache<1x1x4x4xf32>) attributes {attn.bounds = {s = array<i64: 1, 30>}} {"
          "  call @block(%q, %n, %c) : (tensor<?x?x4xf32>, tensor<?xi64>, !attn.cache<1x1x4x4xf32>) -> () return }");
    EXPECT_TRUE(succeeded(recordInterface(*module)));
    FailureOr<ModelInterface> model = readInterface(*module);
    EXPECT_TRUE(succeeded(model) && model->entries.size() == 1 && model->entries[0].inputs[0].strided) << text;
    return std::to_string(model->ringTokens()) + " " + std::to_string(model->sinks);
  };
  EXPECT_EQ(recorded(", causal, window_left = 20 : i64, sinks = 3 : i64"), "50 3");
  EXPECT_EQ(recorded(", causal, window_left = 2 : i64"), "39 0");
  EXPECT_EQ(recorded(", window_left = 20 : i64, window_right = 7 : i64"), "50 0");
  EXPECT_EQ(recorded(", causal, window_left = 20 : i64, causal_offset = -5 : i64"), "55 0");
  EXPECT_EQ(recorded(", causal"), "0 0");
  EXPECT_EQ(recorded(", causal, window_left = 20 : i64, masked_rows = #attn<masked_rows mean>"), "0 0");
  EXPECT_EQ(recorded(", causal, window_left = 20 : i64, causal_offset = -9223372036854775808 : i64"), "0 0");
  EXPECT_EQ(recorded(", causal, window_left = 20 : i64, bottom_right"), "0 0");
  EXPECT_EQ(recorded(", causal, window_left = 20 : i64", "kv_len %n", ", tensor<?xi64>"), "0 0");
  EXPECT_EQ(recorded(", window_left = 20 : i64", "prefix %n", ", tensor<?xi64>"), "50 0");
  parse("func.func @f(%q: tensor<?x9x4xf32> {attn.dims = [\"b\"]}, %c: !attn.cache<1x1x4x4xf32>) {"
        "  %l = arith.constant 0 : index"
        "  %0 = attn.cache_read %c[%l] keys %l : (!attn.cache<1x1x4x4xf32>, index, index) -> tensor<?x1x?x4xf32> return }");
  EXPECT_TRUE(succeeded(recordInterface(*module)));
  EXPECT_EQ(readInterface(*module)->ringTokens(), 0);
}

TEST_F(Interface, Recording) {
  parse("func.func @f(%a: tensor<?xf32> {attn.dims = [\"n\"], attn.optional}, %b: tensor<3xi1>) -> tensor<3xi1> { return %b : tensor<3xi1> }"
        "func.func private @g() { return }");
  ASSERT_TRUE(succeeded(recordInterface(*module)));
  FailureOr<ModelInterface> model = readInterface(*module);
  ASSERT_TRUE(succeeded(model)) << text;
  ASSERT_EQ(model->entries.size(), 1u);
  const EntryInterface &f = model->entries[0];
  EXPECT_TRUE(f.inputs[0].optional && f.inputs[0].name == "arg0" && f.inputs[0].shape[0] == -1);
  EXPECT_TRUE(f.outputs[0].name == "out0" && f.outputs[0].shape[0] == 3);
  EXPECT_EQ(f.workspaceArguments(), 1u);
  parse("func.func @f(%a: index) { return }");
  EXPECT_TRUE(failed(recordInterface(*module)));
  EXPECT_EQ(text, "'func.func' op expected entry arguments to be ranked tensors or a cache, got 'index'");
  parse("func.func @f(%a: !attn.cache<1x1x1x1xf32>, %b: !attn.cache<1x1x1x1xf32>) { return }");
  EXPECT_TRUE(failed(recordInterface(*module)));
  EXPECT_EQ(text, "'func.func' op expected at most one cache and one cross cache, got two of a kind");
  parse("func.func @f(%a: !attn.cache<1x1x1x1xf32>) -> !attn.cache<1x1x1x1xf32> { return %a : !attn.cache<1x1x1x1xf32> }");
  EXPECT_TRUE(failed(recordInterface(*module)));
  EXPECT_EQ(text, "'func.func' op expected entry results to be ranked tensors, got '!attn.cache<1x1x1x1xf32>'");
}

TEST_F(Interface, Parameters) {
  std::string w = "{source = [\"w\"], type = tensor<2x3x16xf32>, offset = 64 : i64, "
                  "pack = {kind = \"panels\", transposed = false, k = 3 : i64, n = 20 : i64}}";
  EXPECT_EQ(parameters(w, "448 : i64"), "ok");
  std::string wrong = "attn.parameters: expected source, type, offset and pack that agree, got ";
  auto expectWrong = [&](const std::string &attr) {
    EXPECT_TRUE(llvm::StringRef(parameters(attr)).starts_with(wrong)) << attr << text;
  };
  expectWrong("3 : i64");
  expectWrong("{source = [], type = tensor<4xf32>, offset = 64 : i64}");
  expectWrong("{source = [\"w\"], type = tensor<?xf32>, offset = 64 : i64}");
  expectWrong("{source = [\"w\"], type = tensor<4xi1>, offset = 64 : i64}");
  expectWrong("{source = [\"w\"], type = tensor<4xf32>, offset = 65 : i64}");
  expectWrong("{source = [\"w\"], type = tensor<4xf32>, offset = 36893488147419103232 : i128}");
  expectWrong("{source = [1 : i64], type = tensor<4xf32>, offset = 64 : i64}");
  expectWrong("{source = [\"v\", \"w\"], type = tensor<4xf32>, offset = 64 : i64}");
  expectWrong("{source = [\"w\"], type = tensor<4xf32>, offset = 64 : i64, pack = {kind = \"odd\"}}");
  std::string panels = "{source = [\"w\"], type = tensor<2x3x16xf32>, offset = 64 : i64, pack = {kind = \"panels\", ";
  expectWrong(panels + "k = 4 : i64, n = 20 : i64}}");
  expectWrong(panels + "k = 3 : i64, n = 33 : i64}}");
  expectWrong(panels + "k = 3 : i64, n = 20 : i64}, parts = array<i64: 19>}");
  expectWrong(panels + "k = 3 : i64, n = 9223372036854775807 : i64}}");
  expectWrong(panels + "k = 3 : i64, n = 20 : i64, experts = 2 : i64}}"); // no dimension of them
  expectWrong(panels + "k = 3 : i64, n = 20 : i64, experts = -1 : i64}}");
  expectWrong(panels + "k = 3 : i64, n = 20 : i64, stacked}}");
  std::string experts = "{source = [\"a\", \"b\"], type = tensor<2x2x3x16xf32>, offset = 64 : i64, parts = array<i64: 20>, "
                        "pack = {kind = \"panels\", k = 3 : i64, n = 20 : i64, ";
  EXPECT_EQ(parameters(experts + "experts = 2 : i64, stacked}}", "832 : i64"), "ok");
  expectWrong(experts + "experts = 2 : i64}}"); // one source of all experts for each part
  expectWrong(experts + "experts = 3 : i64, stacked}}");
  std::string biases = "{source = [\"a\", \"b\"], type = tensor<2x5xf32>, offset = 64 : i64, pack = {kind = \"plain\", experts = 2 : i64}, ";
  EXPECT_EQ(parameters(biases + "parts = array<i64: 2, 3>}", "128 : i64"), "ok");
  expectWrong(biases + "parts = array<i64: 2, 2>}");
  std::string b = "{source = [\"b\"], type = tensor<4xf32>, offset = 64 : i64}";
  EXPECT_EQ(parameters(w + ", " + b, "448 : i64"), // whichever comes first, the other overlaps
            text);
  EXPECT_NE(text.find("attn.parameters: expected '"), std::string::npos);
  EXPECT_EQ(parameters(w, "447 : i64"), "attn.parameters: expected 'w' between bytes 64 and 447, got offset 64 and 384 bytes");
  EXPECT_EQ(parameters(w, "-1 : i64"), "attn.parameters: expected 'w' between bytes 64 and -1, got offset 64 and 384 bytes");
  EXPECT_EQ(parameters(w, "512 : i64"), "attn.weights_bytes: expected the last parameter's end, 448, rounded up to 64, got 512");
  EXPECT_TRUE(llvm::StringRef(parameters("{source = [\"w\"], type = tensor<4611686018427387904x8xf32>, offset = 64 : i64}"))
                  .starts_with("attn.parameters: expected a size that fits into memory, got "));
}

/// Nothing that a model says gets out of the header's comments.
TEST_F(Interface, HostileHeader) {
  parse("module attributes {attn.interface = [{name = \"a*/b\", inputs = [{name = \"x\\0A*/\", type = tensor<?xf32>, dims = "
        "[\"1*/\"]}], outputs = []}, {name = \"a**b\", inputs = [], outputs = []}]} {}");
  FailureOr<ModelInterface> model = readInterface(*module);
  ASSERT_TRUE(succeeded(model)) << text;
  CodeOptions options;
  options.modelName = "m */ #include \"x\"";
  std::string header = headerText(*model, options, "a\"*/.so");
  size_t comments = 0, ends = 0;
  for (size_t at = 0; (at = header.find("/*", at)) != std::string::npos; at += 2)
    ++comments;
  for (size_t at = 0; (at = header.find("*/", at)) != std::string::npos; at += 2)
    ++ends;
  EXPECT_EQ(comments, ends);
  EXPECT_NE(header.find("#define M_____INCLUDE__X__A__B 0\n"), std::string::npos) << header;
  EXPECT_NE(header.find("#define M_____INCLUDE__X__A__B_1 1\n"), std::string::npos) << header;
}
} // namespace
