//===- safetensors_test.cpp - Well-formed, malformed and hostile checkpoints ----------------===//
#include "Files.h"
#include "frontend/Problems.h"
#include "frontend/Safetensors.h"

#include <cmath>
#include <cstring>

using namespace attnc;
using namespace attnc::test;

static std::string add(WeightSet &set, std::string bytes) {
  return text(set.add(llvm::MemoryBuffer::getMemBufferCopy(bytes, "f")));
}

TEST(Safetensors, FindsTensors) {
  WeightSet set;
  std::string bytes = safetensors(R"({"__metadata__":{"format":"pt"},
      "b":{"dtype":"I8","shape":[],"data_offsets":[8,9]},
      "empty":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},
      "a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}   )",
                                  9);
  bytes.back() = 7;
  ASSERT_EQ(add(set, bytes), "");
  EXPECT_EQ(set.size(), 3u);
  std::optional<TensorView> a = set.find("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->name, "a");
  EXPECT_EQ(a->dtype, DType::BF16);
  EXPECT_EQ(shapeText(a->shape), "[2, 2]");
  EXPECT_EQ(a->elements(), 4u);
  EXPECT_EQ(a->file, "f");
  EXPECT_EQ(set.find("b")->data[0], 7);
  EXPECT_EQ(set.find("b")->elements(), 1u);
  EXPECT_EQ(set.find("empty")->elements(), 0u);
  EXPECT_FALSE(set.find("c"));
}

/// The elements of a view of type I8, "none" if there is no such view.
static std::string elements(const WeightSet &set, llvm::StringRef name) {
  std::optional<TensorView> view = set.find(name);
  if (!view)
    return "none";
  std::string text = shapeText(view->shape);
  for (uint64_t i = 0; i < view->elements(); ++i)
    text += " " + std::to_string(view->data[view->storedIndex(i)]);
  return text;
}

TEST(Safetensors, FindsViews) {
  WeightSet set;
  std::string bytes = safetensors(R"({"m":{"dtype":"I8","shape":[6,2],"data_offsets":[0,12]},
      "t":{"dtype":"I8","shape":[2,2,4],"data_offsets":[12,28]},
      "v":{"dtype":"I8","shape":[6],"data_offsets":[28,34]},
      "odd[name]":{"dtype":"I8","shape":[1],"data_offsets":[34,35]}})",
                                  35);
  for (int i = 0; i < 35; ++i)
    bytes[bytes.size() - 35 + i] = char(i);
  ASSERT_EQ(add(set, bytes), "");
  EXPECT_EQ(elements(set, "m[2]"), "[2] 4 5");
  EXPECT_EQ(elements(set, "m[0:1:3]"), "[2, 2] 0 1 6 7");
  EXPECT_EQ(elements(set, "m[1:2:3]"), "[4, 2] 2 3 4 5 8 9 10 11");
  EXPECT_EQ(elements(set, "m[2:4:6]"), "[4, 2] 4 5 6 7 8 9 10 11");
  EXPECT_EQ(elements(set, "m[,1:1:2]"), "[6, 1] 1 3 5 7 9 11");
  EXPECT_EQ(elements(set, "t[1]"), "[2, 4] 20 21 22 23 24 25 26 27");
  EXPECT_EQ(elements(set, "t[,1:1:2]"), "[2, 2, 2] 13 15 17 19 21 23 25 27");
  EXPECT_EQ(elements(set, "v[1:1:3]"), "[2] 29 32");
  EXPECT_EQ(elements(set, "odd[name]"), "[1] 34");
  ASSERT_TRUE(set.find("m[1:2:3]"));
  EXPECT_EQ(*set.find("m[1:2:3]")->row(3), 10);
  for (llvm::StringRef name : {"m[6]", "m[-1]", "m[x]", "m[]", "m[", "m]", "[0]", "x[0]", "v[0]", "m[0:1]", "m[0:1:4]", "m[0:0:3]",
                               "m[2:2:3]", "m[-1:1:3]", "m[4:1:3]", "m[0:1:0]", "t[0:1:2]", "m[,1]", "m[,0:1:3]",
                               "m[0:9223372036854775807:1]", "m[9223372036854775807:1:3]", "m[99999999999999999999]"})
    EXPECT_EQ(elements(set, name), "none") << name.str();
}

TEST(Safetensors, EmptyFile) {
  WeightSet set;
  EXPECT_EQ(add(set, safetensors("{}", 0)), "");
  EXPECT_EQ(set.size(), 0u);
}

TEST(Safetensors, UnknownTypeIsKeptByName) {
  WeightSet set;
  ASSERT_EQ(add(set, safetensors(R"({"q":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}})", 3)), "");
  EXPECT_EQ(set.find("q")->dtype, DType::Other);
  EXPECT_EQ(set.find("q")->dtypeName, "F8_E4M3");
  EXPECT_EQ(set.find("q")->elements(), 0u);
  EXPECT_FALSE(isFloat(DType::Other));
}

TEST(Safetensors, ReadsAsFloat) {
  float out[4];
  auto read = [&](DType dtype, llvm::ArrayRef<char> data, uint64_t first, size_t count) {
    TensorView view;
    view.dtype = dtype;
    view.data = data;
    view.shape = {int64_t(data.size() / dtypeBytes(dtype))};
    readAsFloat(view, first, {out, count});
  };
  char bytes[33];
  // one byte off, so that nothing is aligned
  auto put = [&](auto... values) {
    char *to = bytes + 1;
    ((std::memcpy(to, &values, sizeof values), to += sizeof values), ...);
    return llvm::ArrayRef<char>(bytes + 1, to - bytes - 1);
  };
  read(DType::F32, put(1.5f, -2.25f, 3.0f), 1, 2);
  EXPECT_EQ(out[0], -2.25f);
  EXPECT_EQ(out[1], 3.0f);
  read(DType::F64, put(0.1, 1e300), 0, 2);
  EXPECT_EQ(out[0], 0.1f);
  EXPECT_EQ(out[1], INFINITY);
  read(DType::BF16, put(uint16_t(0x3fc0), uint16_t(0xff80), uint16_t(0x0001)), 0, 3);
  EXPECT_EQ(out[0], 1.5f);
  EXPECT_EQ(out[1], -INFINITY);
  EXPECT_EQ(out[2], std::ldexp(1.0f, -133));
  read(DType::F16, put(uint16_t(0x7bff), uint16_t(0x8001), uint16_t(0xfc00), uint16_t(0x7e00)), 0, 4);
  EXPECT_EQ(out[0], 65504.0f);
  EXPECT_EQ(out[1], std::ldexp(-1.0f, -24)); // the smallest subnormal
  EXPECT_EQ(out[2], -INFINITY);
  EXPECT_TRUE(std::isnan(out[3]));
  read(DType::F16, put(uint16_t(0x0000), uint16_t(0x8000), uint16_t(0x3555)), 1, 2);
  EXPECT_TRUE(std::signbit(out[0]) && out[0] == 0);
  EXPECT_EQ(out[1], 0x1.554p-2f);
  read(DType::F32, {}, 0, 0);
}

TEST(Safetensors, ReadsEveryHalf) { // against the definition: sign, 5 bits of exponent, 10 of fraction
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    uint16_t half = bits;
    TensorView view;
    view.dtype = DType::F16;
    view.data = llvm::ArrayRef<char>(reinterpret_cast<char *>(&half), 2);
    float got;
    readAsFloat(view, 0, {&got, 1});
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float expected = exponent == 31  ? (fraction ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp(float(fraction), -24)
                                     : std::ldexp(float(1024 + fraction), exponent - 25);
    expected = bits & 0x8000 ? -expected : expected;
    ASSERT_TRUE(std::isnan(expected) ? std::isnan(got) : got == expected) << bits;
  }
}

//===----------------------------------------------------------------------===//
// Malformed files
//===----------------------------------------------------------------------===//

struct Malformed {
  const char *header;
  size_t dataBytes;
  const char *message;
};

// The whole header; "TENSOR …" in a message stands for "f: tensor 't'".
static const Malformed malformed[] = {
    {"", 0, "f: invalid JSON: [1:0, byte=0]: Unexpected EOF"},
    {"{", 0, "f: invalid JSON: "},
    {"{}x", 0, "f: invalid JSON: "},
    {"{\"a\xff\":1}", 0, "f: invalid JSON: "},
    {"{\"a", 0, "f: invalid JSON: "},
    {"[]", 0, "f: expected a header that is a JSON object"},
    {"3", 0, "f: expected a header that is a JSON object"},
    {R"({"__metadata__":[]})", 0, "f: expected '__metadata__' of strings"},
    {R"({"__metadata__":{"a":1}})", 0, "f: expected '__metadata__' of strings"},
    {R"({"t":7})", 0, "f: tensor 't': expected an object with dtype, shape and data_offsets"},
    {R"({"t":{"shape":[1],"data_offsets":[0,4]}})", 4, "f: tensor 't': expected a string 'dtype'"},
    {R"({"t":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", 4, "f: tensor 't': expected a string 'dtype'"},
    {R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", 4, "f: tensor 't': expected an array 'shape'"},
    {R"({"t":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
     "f: tensor 't': expected 'shape' of integers from 0"},
    {R"({"t":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4,
     "f: tensor 't': expected 'shape' of integers from 0"},
    {R"({"t":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4,
     "f: tensor 't': expected 'shape' of integers from 0"},
    {R"({"t":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4,
     "f: tensor 't': expected 'shape' of integers from 0"},
    {R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", 4,
     "f: tensor 't': expected a shape whose bytes fit 64 bits, got [4294967296, 4294967296]"},
    {R"({"t":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
     "f: tensor 't': expected a shape whose bytes fit 64 bits, got [4611686018427387904]"},
    {R"({"t":{"dtype":"F32","shape":[1]}})", 4, "f: tensor 't': expected 'data_offsets' of two integers from 0"},
    {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4,
     "f: tensor 't': expected 'data_offsets' of two integers from 0"},
    {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4,
     "f: tensor 't': expected 'data_offsets' of two integers from 0"},
    {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
     "f: tensor 't': expected 'data_offsets' in ascending order, got [4, 0)"},
    {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3,
     "f: tensor 't': expected data within the file's 3 bytes of data, got [0, 4) (is the file truncated?)"},
    {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}})", 4,
     "f: tensor 't': expected data within the file's 4 bytes of data, got [18446744073709551612, "
     "18446744073709551615) (is the file truncated?)"},
    {R"({"t":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,16]}})", 16,
     "f: tensor 't': expected 12 bytes for BF16 [2, 3], got 16"},
    {R"({"t":{"dtype":"F64","shape":[],"data_offsets":[0,4]}})", 4, "f: tensor 't': expected 8 bytes for F64 [], got 4"},
    {R"({"s":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"t":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})", 7,
     "f: tensor 't': expected data that starts at byte 4, where 's' ends, got 3"},
    {R"({"s":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4,
     "f: tensor 't': expected data that starts at byte 4, where 's' ends, got 0"},
    {R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6,
     "f: expected no holes, got bytes 0 to 2 that belong to no tensor"},
    {R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 9, "f: expected 4 bytes of data, got 9"},
    {R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"t":{}})", 0,
     "f: expected every key once, got 't' twice"},
    {R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0074" : {}})", 0,
     "f: expected every key once, got 't' twice"},
    {R"({"t":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}})", 0,
     "f: expected every key once, got 'dtype' twice"},
    {R"({"a\nb":7})", 0, "f: tensor 'a\\0Ab': expected an object with dtype, shape and data_offsets"},
};

TEST(Safetensors, MalformedHeaders) {
  for (const Malformed &test : malformed) {
    WeightSet set;
    std::string got = add(set, safetensors(test.header, test.dataBytes));
    if (llvm::StringRef(test.message).ends_with("JSON: "))
      EXPECT_EQ(got.substr(0, strlen(test.message)), test.message);
    else
      EXPECT_EQ(got, test.message) << test.header;
    EXPECT_EQ(set.size(), 0u);
  }
}

TEST(Safetensors, MalformedSizes) {
  WeightSet set;
  EXPECT_EQ(add(set, ""), "f: expected a safetensors file of at least 8 bytes, got 0");
  EXPECT_EQ(add(set, "1234567"), "f: expected a safetensors file of at least 8 bytes, got 7");
  EXPECT_EQ(add(set, safetensors("{}", 0, 3)), "f: expected a header of 3 bytes, got 2 bytes (is the file truncated?)");
  EXPECT_EQ(add(set, safetensors("{}", 0, ~0ull)),
            "f: expected a safetensors header of at most 100000000 bytes, got 18446744073709551615");
  EXPECT_EQ(add(set, safetensors("{}", 0, 100'000'001)),
            "f: expected a safetensors header of at most 100000000 bytes, got 100000001");
}

TEST(Safetensors, DeepNesting) {
  WeightSet set;
  std::string deep(100'000, '[');
  EXPECT_EQ(add(set, safetensors(deep, 0)), "f: expected JSON nested at most 64 deep, got more at byte 64");
  EXPECT_EQ(add(set, safetensors("{\"t\":" + deep, 0)), "f: expected JSON nested at most 64 deep, got more at byte 68");
}

TEST(Safetensors, LongNamesAreShortened) {
  WeightSet set;
  EXPECT_EQ(add(set, safetensors("{\"" + std::string(5000, 'n') + "\":0}", 0)),
            "f: tensor '" + std::string(200, 'n') + "...': expected an object with dtype, shape and data_offsets");
}

TEST(Safetensors, EveryTruncationIsAnError) {
  std::string bytes = oneTensor("t", 5);
  for (size_t size = 0; size < bytes.size(); ++size) {
    WeightSet set;
    EXPECT_NE(add(set, bytes.substr(0, size)), "") << size;
  }
}

TEST(Safetensors, EveryCorruptByteIsHandled) { // whatever it says, it does not crash, and what it gives is in range
  std::string bytes = safetensors(R"({"a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},)"
                                  R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                  8);
  for (size_t at = 0; at < bytes.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      std::string corrupt = bytes;
      corrupt[at] = value;
      WeightSet set;
      if (add(set, corrupt) == "")
        for (const char *name : {"a", "b"})
          if (std::optional<TensorView> tensor = set.find(name); tensor && isFloat(tensor->dtype)) {
            std::vector<float> out(tensor->elements());
            readAsFloat(*tensor, 0, out);
          }
    }
}

//===----------------------------------------------------------------------===//
// Several files
//===----------------------------------------------------------------------===//

TEST(WeightSet, OpensFiles) {
  Directory dir;
  dir.write("a", oneTensor("x", 3));
  dir.write("b", oneTensor("y", 100'000)); // large enough to be mapped
  auto set = WeightSet::openFiles({dir.path("a"), dir.path("b")});
  ASSERT_EQ(text(set.takeError()), "");
  EXPECT_EQ(set->find("x")->elements(), 3u);
  EXPECT_EQ(set->find("y")->elements(), 100'000u);
  EXPECT_EQ(set->find("y")->file, dir.path("b"));
}

TEST(WeightSet, FileErrors) {
  Directory dir;
  dir.write("a", oneTensor("x", 3));
  dir.write("b", oneTensor("x", 4));
  EXPECT_EQ(text(WeightSet::openFiles({dir.path("a"), dir.path("b")}), &dir),
            "DIR/b: tensor 'x': expected in one file only, got it in DIR/a too");
  EXPECT_EQ(text(WeightSet::openFiles({dir.path("none")}), &dir), "cannot open DIR/none: no such file or directory");
  EXPECT_EQ(text(WeightSet::openFiles({dir.path().str()}), &dir), "cannot open DIR: expected a regular file");
  EXPECT_EQ(text(WeightSet::openFiles({"/dev/zero"})), "cannot open /dev/zero: expected a regular file");
}

TEST(WeightSet, DirectoryWithoutWeights) {
  Directory dir;
  EXPECT_EQ(text(WeightSet::openDirectory(dir.path()), &dir),
            "DIR: expected model.safetensors or model.safetensors.index.json");
  dir.write("pytorch_model.bin", "");
  EXPECT_EQ(text(WeightSet::openDirectory(dir.path()), &dir),
            "DIR: expected model.safetensors or model.safetensors.index.json, got pytorch_model.bin: convert it to "
            "safetensors");
}

TEST(WeightSet, Shards) {
  Directory dir;
  dir.write("2", oneTensor("x", 3));
  dir.write("1", oneTensor("y", 4));
  dir.write("model.safetensors.index.json", R"({"metadata":{},"weight_map":{"x":"2","y":"1"}})");
  auto set = WeightSet::openDirectory(dir.path());
  ASSERT_EQ(text(set.takeError()), "");
  EXPECT_EQ(set->files().vec(), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(set->find("x")->elements(), 3u);
}

TEST(WeightSet, IndexErrors) {
  const char *name = "model.safetensors.index.json";
  auto open = [&](llvm::StringRef index) {
    Directory dir;
    dir.write("1", oneTensor("x", 3));
    dir.write("2", oneTensor("y", 3));
    dir.write(name, index);
    return text(WeightSet::openDirectory(dir.path()), &dir);
  };
  std::string where = std::string("DIR/") + name + ": ";
  EXPECT_EQ(open("").substr(0, where.size() + 12), where + "invalid JSON");
  EXPECT_EQ(open("{}"), where + "expected an object 'weight_map' of tensor names to file names");
  EXPECT_EQ(open("[]"), where + "expected an object 'weight_map' of tensor names to file names");
  EXPECT_EQ(open(R"({"weight_map":{}})"), where + "expected tensors in 'weight_map', got none");
  EXPECT_EQ(open(R"({"weight_map":{"x":"3"}})"), "cannot open DIR/3: no such file or directory");
  EXPECT_EQ(open(R"({"weight_map":{"x":"1","z":"2"}})"), where + "tensor 'z': expected in 2, got no such tensor");
  EXPECT_EQ(open(R"({"weight_map":{"x":"2","y":"1"}})"), where + "tensor 'x': expected in 2, got 1\n" + where +
                                                             "tensor 'y': expected in 1, got 2");
  for (const char *file : {"\"/etc/passwd\"", "\"../1\"", "\"a/b\"", "\"..\"", "\".\"", "\"\"", "\"a\\\\b\"",
                           "\"a\\u0000b\"", "7", "null"}) {
    std::string got = open("{\"weight_map\":{\"x\":" + std::string(file) + "}}");
    std::string expected = where + "tensor 'x': expected the name of a file beside the index, got ";
    EXPECT_EQ(got.substr(0, expected.size()), expected) << file;
  }
}
