// array-test.cpp: sizes, texts, and files that appear complete or not at all.
#include "runtime-test.h"

#include <cstring>
#include <sys/stat.h>

namespace {

TEST(Array, Create) {
  attn_array *array = nullptr;
  int64_t shape[] = {2, 3};
  ASSERT_EQ(attn_array_create(nullptr, f32, 2, shape, &array, nullptr), 0);
  EXPECT_EQ(array->tensor.shape[1], 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(array->tensor.data) % 64, 0u);
  EXPECT_EQ(static_cast<float *>(array->tensor.data)[5], 0);
  EXPECT_EQ(reinterpret_cast<void *>(array), &array->tensor);
  attn_array_free(array);
  attn_array_free(nullptr);
}

TEST(Array, BadShapes) {
  Error error;
  uint64_t bytes;
  auto check = [&](DLDataType type, std::vector<int64_t> shape, int32_t code, const char *part) {
    expectError(attn_array_bytes(type, static_cast<int32_t>(shape.size()), shape.data(), &bytes, &error), error, code,
                part);
    attn_array *array = nullptr;
    EXPECT_EQ(attn_array_create(nullptr, type, static_cast<int32_t>(shape.size()), shape.data(), &array, &error), code);
    EXPECT_EQ(array, nullptr);
  };
  check(f32, {2, -1}, ATTN_SHAPE, "expected dimensions of at least 0, got -1");
  check(f32, {1, 1, 1, 1, 1, 1, 1, 1, 1}, ATTN_SHAPE, "expected a rank of at most 8, got 9");
  check(f32, {int64_t(1) << 40, int64_t(1) << 40}, ATTN_SHAPE, "[1099511627776, 1099511627776] is too large");
  check(f32, {0, INT64_MAX}, ATTN_SHAPE, "is too large");
  check({kDLFloat4_e2m1fn, 4, 1}, {2}, ATTN_DTYPE, "expected a type of whole bytes and one lane, got 4 bits");
  check({kDLFloat, 32, 4}, {2}, ATTN_DTYPE, "4 lanes");
}

TEST(Array, Names) {
  EXPECT_STREQ(attn_dtype_name(i64), "int64");
  EXPECT_STREQ(attn_dtype_name({kDLBfloat, 16, 1}), "bfloat16");
  EXPECT_STREQ(attn_dtype_name({kDLBool, 8, 1}), "bool");
  EXPECT_STREQ(attn_dtype_name({kDLFloat, 32, 4}), "unknown");
  EXPECT_STREQ(attn_dtype_name({99, 32, 1}), "unknown");
  char text[ATTN_SHAPE_TEXT];
  EXPECT_STREQ(attn_shape_text(0, nullptr, text), "[]");
  int64_t shape[8];
  std::fill(shape, shape + 8, INT64_MIN);
  EXPECT_EQ(strlen(attn_shape_text(8, shape, text)), 8 * 20 + 7 * 2 + 2);
}

TEST(Output, CommitReplacesAndDiscardLeavesAlone) {
  TempDir dir;
  std::string path = dir.write("f", "old");
  attn_output *output = nullptr;
  ASSERT_EQ(attn_output_open(path.c_str(), &output, nullptr), 0);
  fputs("new", attn_output_stream(output));
  EXPECT_EQ(readFile(path), "old");
  attn_output_discard(output);
  EXPECT_EQ(readFile(path), "old");
  ASSERT_EQ(attn_output_open(path.c_str(), &output, nullptr), 0);
  fputs("new", attn_output_stream(output));
  EXPECT_EQ(attn_output_commit(output, nullptr), 0);
  EXPECT_EQ(readFile(path), "new");
  EXPECT_EQ(dir.list(), "f\n");
  attn_output_discard(nullptr);
}

TEST(Output, ModeFollowsTheUmask) {
  TempDir dir;
  mode_t before = umask(027);
  attn_output *output = nullptr;
  ASSERT_EQ(attn_output_open(dir.path("f").c_str(), &output, nullptr), 0);
  ASSERT_EQ(attn_output_commit(output, nullptr), 0);
  umask(before);
  struct stat info;
  ASSERT_EQ(stat(dir.path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(Output, Errors) {
  TempDir dir;
  Error error;
  attn_output *output = nullptr;
  expectError(attn_output_open(dir.path("no/f").c_str(), &output, &error), error, ATTN_IO,
              "could not write '" + dir.path("no/f") + "': No such file");
  expectError(attn_output_open(dir.path("").c_str(), &output, &error), error, ATTN_IO, "Is a directory");
  EXPECT_EQ(output, nullptr);
  ASSERT_EQ(attn_output_open("/dev/full", &output, &error), 0); // never replaced, written directly
  fputs("x", attn_output_stream(output));
  expectError(attn_output_commit(output, &error), error, ATTN_IO, "could not write '/dev/full': No space left");
  ASSERT_EQ(attn_output_open("/dev/null", &output, &error), 0);
  EXPECT_EQ(attn_output_commit(output, &error), 0);
  // The place has become a directory meanwhile.
  ASSERT_EQ(attn_output_open(dir.path("g").c_str(), &output, &error), 0);
  mkdir(dir.path("g").c_str(), 0700);
  EXPECT_EQ(attn_output_commit(output, &error), ATTN_IO);
  EXPECT_EQ(dir.list(), "g\n");
}

} // namespace
