// npy-test.cpp: round trips and malformed files.
#include "runtime-test.h"

#include <cstring>
#include <sys/stat.h>

namespace {

// A file with the given header text and data.
std::string npy(const std::string &header, const std::string &data, int version = 1) {
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    text += static_cast<char>(header.size() >> (8 * i) & 255);
  return text + header + data;
}
std::string dict(const std::string &descr, const std::string &shape, const std::string &order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

const std::string one("\0\0\x80?", 4); // 1.0f

struct Read {
  Error error;
  attn_array *array = nullptr;
  int32_t status;
  explicit Read(const std::string &bytes) {
    static TempDir dir;
    status = attn_npy_read(dir.write("f.npy", bytes).c_str(), nullptr, &array, &error);
  }
  ~Read() { attn_array_free(array); }
};

TEST(Npy, RoundTripsEveryType) {
  TempDir dir;
  Error error;
  const DLDataType types[] = {{kDLFloat, 16, 1}, {kDLFloat, 32, 1}, {kDLFloat, 64, 1}, {kDLInt, 8, 1},
                              {kDLInt, 16, 1},   {kDLInt, 32, 1},   {kDLInt, 64, 1},   {kDLUInt, 8, 1},
                              {kDLUInt, 16, 1},  {kDLUInt, 32, 1},  {kDLUInt, 64, 1},  {kDLBool, 8, 1},
                              {kDLBfloat, 16, 1}};
  for (DLDataType type : types)
    for (std::vector<int64_t> shape : {std::vector<int64_t>{}, {0}, {3}, {2, 0, 5}, {1, 2, 3, 1, 2, 1, 1, 2}}) {
      attn_array *a = nullptr, *b = nullptr;
      int32_t rank = static_cast<int32_t>(shape.size());
      ASSERT_EQ(attn_array_create(nullptr, type, rank, shape.data(), &a, &error), 0) << error.text;
      uint64_t bytes;
      attn_array_bytes(type, rank, shape.data(), &bytes, nullptr);
      for (uint64_t i = 0; i < bytes; ++i)
        static_cast<unsigned char *>(a->tensor.data)[i] = type.code == kDLBool ? i % 2 : i * 7 + 1;
      std::string path = dir.path("x.npy");
      ASSERT_EQ(attn_npy_write(path.c_str(), &a->tensor, &error), 0) << error.text;
      EXPECT_EQ((readFile(path).size() - bytes) % 64, 0u);
      ASSERT_EQ(attn_npy_read(path.c_str(), nullptr, &b, &error), 0) << error.text;
      EXPECT_EQ(memcmp(&b->tensor.dtype, &type, sizeof type), 0);
      EXPECT_EQ(std::vector<int64_t>(b->tensor.shape, b->tensor.shape + b->tensor.ndim), shape);
      EXPECT_EQ(memcmp(a->tensor.data, b->tensor.data, bytes), 0);
      attn_array_free(a);
      attn_array_free(b);
    }
  EXPECT_EQ(dir.list(), "x.npy\n");
}

TEST(Npy, ReadsWhatOthersWrite) {
  for (const std::string &bytes :
       {npy(dict("<f4", "(1,)"), one), npy(dict("<f4", "(1,)"), one, 2),
        npy(dict("<f4", "(1,)"), one, 3), npy("{\"shape\":(1L,),\"fortran_order\":True,\"descr\":\"<f4\"}", one),
        npy("  { 'descr' : '<f4' , 'shape' : ( 1 , ) , 'fortran_order' : False }   \n", one)}) {
    Read r(bytes);
    ASSERT_EQ(r.status, 0) << r.error.text;
    EXPECT_EQ(*static_cast<float *>(r.array->tensor.data), 1.0f);
  }
  Read bf16(npy(dict("|V2", "()"), "ab"));
  ASSERT_EQ(bf16.status, 0) << bf16.error.text;
  EXPECT_STREQ(attn_dtype_name(bf16.array->tensor.dtype), "bfloat16");
}

TEST(Npy, Malformed) {
  const struct {
    std::string bytes;
    int32_t code;
    const char *part;
  } cases[] = {
      {"", ATTN_CORRUPT_FILE, "is not a .npy file: expected it to begin with"},
      {"PK\x03\x04 zip file", ATTN_CORRUPT_FILE, "is not a .npy file"},
      {"\x93NUMP", ATTN_CORRUPT_FILE, "is not a .npy file"},
      {"\x93NUMPY\x04" + std::string(20, '\0'), ATTN_UNSUPPORTED, "has .npy version 4.0: expected 1.0 to 3.0"},
      {"\x93NUMPY" + std::string(20, '\0'), ATTN_UNSUPPORTED, "version 0.0"},
      {"\x93NUMPY\x01" + std::string(2, '\0'), ATTN_CORRUPT_FILE, "the header's length is missing"},
      {"\x93NUMPY\x02" + std::string(3, '\0'), ATTN_CORRUPT_FILE, "the header's length is missing"},
      {"\x93NUMPY\x01" + std::string(1, '\0') + "\xff\x10{}", ATTN_CORRUPT_FILE, "expected a header of 4351 bytes, got 2"},
      {"\x93NUMPY\x02" + std::string(1, '\0') + "\xff\xff\xff\xff{}", ATTN_CORRUPT_FILE, "expected at most 65536 bytes"},
      {npy(std::string("{'descr'\0}", 10), ""), ATTN_CORRUPT_FILE, "a zero byte"},
      {npy("", ""), ATTN_CORRUPT_FILE, "expected a dictionary"},
      {npy("{", ""), ATTN_CORRUPT_FILE, "expected a key"},
      {npy("{}", ""), ATTN_CORRUPT_FILE, "expected the keys 'descr', 'fortran_order' and 'shape'"},
      {npy("{'descr' '<f4'}", ""), ATTN_CORRUPT_FILE, "expected ':' after a key"},
      {npy("{'descr': '<f4' 'shape': ()}", ""), ATTN_CORRUPT_FILE, "expected ',' or '}'"},
      {npy("{'descr': '<f4', 'descr': '<f4'}", ""), ATTN_CORRUPT_FILE, "an unknown or repeated key"},
      {npy("{'evil': 1}", ""), ATTN_CORRUPT_FILE, "an unknown or repeated key"},
      {npy("{'a_very_long_key_name': 1}", ""), ATTN_CORRUPT_FILE, "expected a key"},
      {npy("{'descr': [('a', '<f4')]}", ""), ATTN_CORRUPT_FILE, "a structured type"},
      {npy("{'descr': 4}", ""), ATTN_CORRUPT_FILE, "expected a type string for 'descr'"},
      {npy("{'descr': ''}", ""), ATTN_CORRUPT_FILE, "expected a type string for 'descr'"},
      {npy(dict("<f4", "()", "1"), ""), ATTN_CORRUPT_FILE, "expected True or False for 'fortran_order'"},
      {npy(dict("<f4", "[1]"), ""), ATTN_CORRUPT_FILE, "expected a tuple of dimensions for 'shape'"},
      {npy(dict("<f4", "(1)"), "abcd"), ATTN_CORRUPT_FILE, "expected a tuple of dimensions"},
      {npy(dict("<f4", "(-1,)"), ""), ATTN_CORRUPT_FILE, "expected a tuple of dimensions"},
      {npy(dict("<f4", "(99999999999999999999,)"), ""), ATTN_CORRUPT_FILE, "expected a tuple of dimensions"},
      {npy(dict("<f4", "(1,2"), ""), ATTN_CORRUPT_FILE, "expected a tuple of dimensions"},
      {npy(dict("<f4", "(1099511627776, 1099511627776)"), ""), ATTN_CORRUPT_FILE, "is too large"},
      {npy(dict("<f4", "(0, 9223372036854775807)"), ""), ATTN_CORRUPT_FILE, "is too large"},
      {npy(dict("<f4", "(1,1,1,1,1,1,1,1,1,1)"), "abcd"), ATTN_UNSUPPORTED, "has more than 8 dimensions"},
      {npy(dict("<f4", "(2, 2)", "True"), std::string(16, 'x')), ATTN_UNSUPPORTED, "is in Fortran order: save it with"},
      {npy(dict(">f4", "(1,)"), "abcd"), ATTN_UNSUPPORTED, "is big-endian ('>f4'): expected little-endian"},
      {npy(dict("<c8", "(1,)"), "abcdefgh"), ATTN_UNSUPPORTED, "has type '<c8': expected f2, f4, f8"},
      {npy(dict("|O", "(1,)"), "abcdefgh"), ATTN_UNSUPPORTED, "has type '|O'"},
      {npy(dict("<U4", "(1,)"), "abcdefgh"), ATTN_UNSUPPORTED, "has type '<U4'"},
      {npy(dict("<f4", "(2,)"), "abcd"), ATTN_CORRUPT_FILE, "expected 8 bytes of data for shape [2], got 4"},
      {npy(dict("<f4", "(1,)"), "abcdefgh"), ATTN_CORRUPT_FILE, "expected 4 bytes of data for shape [1], got 8"},
      {npy(dict("|b1", "(2,)"), "\1\2"), ATTN_CORRUPT_FILE, "expected 0 or 1 for bool, got 2"},
      {npy(dict("<f4", "()") + "x", "abcd"), ATTN_CORRUPT_FILE, "text after the dictionary"},
  };
  for (const auto &c : cases) {
    Read r(c.bytes);
    expectError(r.status, r.error, c.code, c.part);
    EXPECT_EQ(r.array, nullptr);
  }
}

// Any prefix, and any one byte changed, is an error or a sound array; the sanitizers watch.
TEST(Npy, Fuzz) {
  std::string good = npy(dict("<f4", "(2, 3)"), std::string(24, 'x'));
  for (size_t n = 0; n < good.size(); ++n)
    EXPECT_NE(Read(good.substr(0, n)).status, 0);
  for (size_t i = 0; i < good.size(); ++i)
    for (char c : {'\0', '\xff', '(', '\'', '9', '}'}) {
      std::string bad = good;
      bad[i] = c;
      Read r(bad);
      EXPECT_EQ(r.status == 0, r.array != nullptr);
    }
}

TEST(Npy, NotAFile) {
  TempDir dir;
  Error error;
  attn_array *array = nullptr;
  expectError(attn_npy_read(dir.path("none").c_str(), nullptr, &array, &error), error, ATTN_IO, "could not open");
  expectError(attn_npy_read(dir.path("").c_str(), nullptr, &array, &error), error, ATTN_IO, "not a file");
  mkfifo(dir.path("pipe").c_str(), 0600);
  expectError(attn_npy_read(dir.path("pipe").c_str(), nullptr, &array, &error), error, ATTN_IO, "not a file");
}

TEST(Npy, WriteErrors) {
  TempDir dir;
  Error error;
  Tensor<float> t(f32, {2, 2});
  expectError(attn_npy_write(dir.path("no/x").c_str(), &t, &error), error, ATTN_IO, "could not write");
  expectError(attn_npy_write("/dev/full", &t, &error), error, ATTN_IO, "No space left");
  int64_t transposed[] = {1, 2}, plain[] = {2, 1};
  t.strides = transposed;
  std::string path = dir.path("x.npy");
  expectError(attn_npy_write(path.c_str(), &t, &error), error, ATTN_UNSUPPORTED, "expected a contiguous CPU tensor");
  t.strides = plain;
  EXPECT_EQ(attn_npy_write(path.c_str(), &t, &error), 0);
  t.dtype = {kDLFloat8_e4m3fn, 8, 1};
  expectError(attn_npy_write(dir.path("y.npy").c_str(), &t, &error), error, ATTN_UNSUPPORTED,
              "type float8_e4m3fn cannot be written");
  EXPECT_EQ(dir.list(), "x.npy\n");
}

} // namespace
