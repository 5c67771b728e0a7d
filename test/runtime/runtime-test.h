// runtime-test.h: what the runtime's tests share.
#ifndef ATTN_TEST_RUNTIME_TEST_H
#define ATTN_TEST_RUNTIME_TEST_H

#include "attn_runtime.h"
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

struct Error : attn_error {
  Error() : attn_error{sizeof(attn_error), 0, {0}} {}
  std::string str() const { return text; }
};

// `actual` must be the status `code` with a text that contains `part`.
inline void expectError(int32_t actual, const Error &error, int32_t code, const std::string &part) {
  EXPECT_EQ(actual, code) << error.text;
  EXPECT_EQ(error.code, code);
  EXPECT_NE(error.str().find(part), std::string::npos) << "got: " << error.text << "\nexpected: " << part;
}

// A directory that is removed at the end.
class TempDir {
public:
  TempDir() {
    const char *base = getenv("TMPDIR");
    root = std::string(base ? base : "/tmp") + "/attn-runtime-XXXXXX";
    if (!mkdtemp(root.data()))
      abort();
  }
  ~TempDir() { (void)!system(("rm -rf '" + root + "'").c_str()); }
  std::string path(const std::string &name) const { return root + "/" + name; }
  std::string write(const std::string &name, const std::string &contents) const {
    std::ofstream(path(name), std::ios::binary) << contents;
    return path(name);
  }
  // Names in the directory, to see that nothing is left behind.
  std::string list() const {
    std::string names;
    FILE *p = popen(("ls -A '" + root + "'").c_str(), "r");
    for (int c; (c = fgetc(p)) != EOF;)
      names += static_cast<char>(c);
    pclose(p);
    return names;
  }

private:
  std::string root;
};

inline std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A tensor over a vector, [shape].
template <typename T> struct Tensor : DLTensor {
  std::vector<T> values;
  std::vector<int64_t> dims;
  Tensor(DLDataType type, std::vector<int64_t> shape) : DLTensor{}, dims(std::move(shape)) {
    size_t n = 1;
    for (int64_t d : dims)
      n *= static_cast<size_t>(d);
    values.resize(n);
    data = values.data();
    device = {kDLCPU, 0};
    ndim = static_cast<int32_t>(dims.size());
    dtype = type;
    DLTensor::shape = dims.data();
  }
  Tensor(const Tensor &) = delete;
};
inline constexpr DLDataType i64{kDLInt, 64, 1}, f32{kDLFloat, 32, 1}, u8{kDLUInt, 8, 1};

// The fake model, open: see fake_model.c.
struct Fake {
  attn_runtime *runtime = nullptr;
  attn_file *file = nullptr;
  attn_model *model = nullptr;
  attn_session *session = nullptr;
  const attn_library *library = nullptr;
  const attn_host *host = nullptr;
  Error error;

  explicit Fake(attn_runtime_options options = {sizeof(attn_runtime_options), 2, 0, 0, nullptr, nullptr}) {
    EXPECT_EQ(attn_runtime_create(&options, &runtime, &error), 0) << error.text;
    EXPECT_EQ(attn_file_load(FAKE_MODEL, &file, &error), 0) << error.text;
    library = attn_file_library(file);
    host = attn_runtime_host(runtime);
    EXPECT_EQ(attn_file_open(file, host, nullptr, &model, &error), 0) << error.text;
    EXPECT_EQ(attn_session_create(library, model, host, &session, &error), 0) << error.text;
  }
  ~Fake() {
    attn_session_free(session);
    library->close(model);
    attn_file_free(file);
    attn_runtime_free(runtime);
  }
  int32_t run(const char *entry, std::vector<const DLTensor *> in, std::vector<DLTensor *> out,
              attn_state *state = nullptr) {
    attn_call call = {};
    call.size = sizeof call;
    call.n_in = static_cast<uint32_t>(in.size());
    call.n_out = static_cast<uint32_t>(out.size());
    call.in = in.data();
    call.out = out.data();
    call.state = state;
    return attn_session_run(session, static_cast<uint32_t>(attn_library_find(library, entry)), &call, &error);
  }
};

#endif // ATTN_TEST_RUNTIME_TEST_H
