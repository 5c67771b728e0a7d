// run-test.cpp: sessions, states and statuses, on the fake model.
#include "runtime-test.h"

#include <cstring>
#include <sys/stat.h>
#include <thread>

namespace {

int64_t argmax(const float *row) {
  int64_t best = 0;
  for (int64_t v = 1; v < 16; ++v)
    if (row[v] > row[best])
      best = v;
  return best;
}

TEST(Session, Forward) {
  Fake f;
  Tensor<int64_t> ids(i64, {2, 3}), mask(i64, {2, 3});
  Tensor<float> logits(f32, {2, 3, 16});
  ids.values = {1, 2, 3, 4, 5, 15};
  mask.values = {1, 1, 1, 0, 1, 1};
  ASSERT_EQ(f.run("forward", {&ids, nullptr}, {&logits}), 0) << f.error.text;
  EXPECT_EQ(argmax(&logits.values[2 * 16]), 4);
  EXPECT_EQ(argmax(&logits.values[5 * 16]), 0);
  ASSERT_EQ(f.run("forward", {&ids, &mask}, {&logits}), 0) << f.error.text;
  EXPECT_EQ(logits.values[3 * 16 + 5], 0);
  EXPECT_EQ(logits.values[4 * 16 + 6], 1);
}

TEST(Session, WorkspaceOnlyGrows) {
  Fake f;
  EXPECT_EQ(attn_session_workspace_bytes(f.session), 0u);
  for (auto [batch, bytes] : {std::pair{2, 128u}, {1, 128u}, {4, 256u}, {3, 256u}}) {
    Tensor<int64_t> ids(i64, {batch, 1});
    Tensor<float> logits(f32, {batch, 1, 16});
    ASSERT_EQ(f.run("forward", {&ids, nullptr}, {&logits}), 0) << f.error.text;
    EXPECT_EQ(attn_session_workspace_bytes(f.session), bytes);
  }
}

/// A call says itself what it needs where the file can tell.
TEST(Session, WorkspaceOfTheCall) {
  Fake f;
  attn_library library = *f.library;
  static const DLTensor *left;
  library.call_workspace_bytes = [](const attn_model *, uint32_t entry, const attn_call *call, attn_error *error) -> uint64_t {
    left = call->out[0];
    error->code = ATTN_SHAPE;
    std::strcpy(error->text, "too many");
    return entry ? 0 : 12800;
  };
  attn_session *session;
  ASSERT_EQ(attn_session_create(&library, f.model, f.host, &session, &f.error), 0);
  Tensor<int64_t> ids(i64, {2, 1});
  Tensor<float> logits(f32, {2, 1, 16});
  const DLTensor *in[] = {&ids, nullptr};
  DLTensor *out[] = {&logits};
  attn_call call = {sizeof call, 2, 1, in, out, nullptr, nullptr, nullptr, 0, nullptr};
  EXPECT_EQ(attn_session_run(session, 0, &call, &f.error), 0) << f.error.text;
  EXPECT_EQ(left, &logits);
  EXPECT_EQ(attn_session_workspace_bytes(session), 12800u);
  expectError(attn_session_run(session, 1, &call, &f.error), f.error, ATTN_SHAPE, "too many");
  expectError(attn_session_run(session, 99, &call, &f.error), f.error, ATTN_INVALID_ARGUMENT, "expected an entry below");
  library.size = offsetof(attn_library, call_workspace_bytes); // an older file
  EXPECT_EQ(attn_session_run(session, 0, &call, &f.error), 0) << f.error.text;
  attn_session_free(session);
}

TEST(Session, DimsAndShapes) {
  Fake f;
  Tensor<int64_t> ids(i64, {2, 5});
  const DLTensor *in[] = {&ids, nullptr, nullptr};
  attn_call call = {};
  call.size = sizeof call;
  call.n_in = 3;
  call.in = in;
  int64_t dims[3], shape[ATTN_MAX_RANK];
  ASSERT_EQ(attn_session_dims(f.session, 1, &call, dims, &f.error), 0) << f.error.text;
  EXPECT_EQ(dims[0], 2);
  EXPECT_EQ(dims[1], 5);
  EXPECT_EQ(dims[2], -1);
  const attn_entry *prefill = attn_library_entry(f.library, 1);
  ASSERT_EQ(attn_entry_shape(prefill, prefill->out, dims, shape, &f.error), 0);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[1], 16);
  expectError(attn_entry_shape(prefill, &prefill->in[1], dims, shape, &f.error), f.error, ATTN_SHAPE,
              "'attention_mask' needs dimension 'keys', which none of the given inputs has");
  expectError(attn_session_dims(f.session, 99, &call, dims, &f.error), f.error, ATTN_INVALID_ARGUMENT,
              "expected an entry below 10, got 99");
}

TEST(Session, StatusesPropagate) {
  Fake f;
  Tensor<int64_t> code(i64, {});
  for (int64_t c : std::vector<int64_t>{ATTN_RANGE, ATTN_CACHE_FULL, 77}) {
    code.values[0] = c;
    expectError(f.run("fail", {&code}, {}), f.error, ATTN_CALLBACK, "a task returned " + std::to_string(c));
  }
  code.values[0] = 0;
  EXPECT_EQ(f.run("fail", {&code}, {}), 0);
  Tensor<int64_t> ids(i64, {1, 2}), wide(i64, {1, 33});
  Tensor<float> logits(f32, {1, 2, 16}), wrong(f32, {1, 2, 8});
  expectError(f.run("forward", {&wide, nullptr}, {&logits}), f.error, ATTN_SHAPE, "expected seq from 1 to 32, got 33");
  expectError(f.run("forward", {&ids, nullptr}, {&wrong}), f.error, ATTN_SHAPE, "'logits'");
  expectError(f.run("forward", {&logits, nullptr}, {&logits}), f.error, ATTN_DTYPE, "'input_ids'");
  expectError(f.run("forward", {nullptr, nullptr}, {&logits}), f.error, ATTN_INVALID_ARGUMENT, "missing");
  ids.values[1] = 16;
  expectError(f.run("forward", {&ids, nullptr}, {&logits}), f.error, ATTN_RANGE, "expected 0 to 15, got 16");
  expectError(f.run("prefill", {&ids, nullptr, nullptr}, {&logits}), f.error, ATTN_SHAPE, "rank 2, got 3");
}

void *noMemory(void *, DLDevice, uint64_t, uint64_t) { return nullptr; }

TEST(Session, OutOfMemory) {
  Fake f;
  attn_host host = *f.host;
  host.alloc = noMemory;
  attn_session *session = nullptr;
  ASSERT_EQ(attn_session_create(f.library, f.model, &host, &session, nullptr), 0);
  Tensor<int64_t> ids(i64, {1, 1});
  const DLTensor *in[] = {&ids, nullptr};
  DLTensor *out[] = {nullptr};
  attn_call call = {sizeof call, 2, 1, in, out, nullptr, nullptr, nullptr, 0, nullptr};
  expectError(attn_session_run(session, 0, &call, &f.error), f.error, ATTN_OUT_OF_MEMORY,
              "out of memory for a workspace of 64 bytes");
  attn_session_free(session);
  attn_state_memory state;
  expectError(attn_state_create(f.library, f.model, &host, 2, 9, 0, &state, &f.error), f.error, ATTN_OUT_OF_MEMORY,
              "bytes (2 slots of 9 tokens)");
  attn_model *model = nullptr;
  expectError(attn_file_open(f.file, &host, nullptr, &model, &f.error), f.error, ATTN_OUT_OF_MEMORY, "out of memory");
  attn_array *array = nullptr;
  int64_t shape[] = {2, 2};
  expectError(attn_array_create(&host, f32, 2, shape, &array, &f.error), f.error, ATTN_OUT_OF_MEMORY,
              "out of memory for an array of 16 bytes, shape [2, 2]");
}

TEST(State, PrefillDecodeSaveLoad) {
  Fake f;
  TempDir dir;
  attn_state_memory state, copy;
  ASSERT_EQ(attn_state_create(f.library, f.model, f.host, 2, 8, 0, &state, &f.error), 0) << f.error.text;
  Tensor<int64_t> ids(i64, {2, 3}), next(i64, {2, 1});
  Tensor<float> logits(f32, {2, 16});
  ids.values = {1, 2, 3, 4, 5, 6};
  next.values = {1, 2};
  ASSERT_EQ(f.run("prefill", {&ids, nullptr, nullptr}, {&logits}, state.state), 0) << f.error.text;
  EXPECT_EQ(argmax(&logits.values[0]), 6);
  EXPECT_EQ(argmax(&logits.values[16]), 15);
  std::string path = dir.path("state");
  ASSERT_EQ(attn_state_save(f.library, f.model, &state, path.c_str(), &f.error), 0) << f.error.text;
  ASSERT_EQ(attn_state_load(f.library, f.model, f.host, path.c_str(), &copy, &f.error), 0) << f.error.text;
  attn_state_free(f.host, &state);
  EXPECT_EQ(state.memory, nullptr);
  ASSERT_EQ(f.run("decode", {&next}, {&logits}, copy.state), 0) << f.error.text;
  EXPECT_EQ(argmax(&logits.values[0]), 7);
  EXPECT_EQ(argmax(&logits.values[16]), 1);
  int64_t length = 0;
  f.library->state_op(f.model, copy.state, ATTN_STATE_LENGTH, 1, 0, &length, nullptr);
  EXPECT_EQ(length, 4);
  ASSERT_EQ(f.run("prefill", {&ids, nullptr, nullptr}, {&logits}, copy.state), 0) << f.error.text;
  expectError(f.run("prefill", {&ids, nullptr, nullptr}, {&logits}, copy.state), f.error, ATTN_CACHE_FULL,
              "expected at most 8 tokens, got 10");
  attn_state_free(f.host, &copy);
  EXPECT_EQ(dir.list(), "state\n");
}

TEST(State, Errors) {
  Fake f;
  TempDir dir;
  attn_state_memory state;
  expectError(attn_state_create(f.library, f.model, f.host, 9, 8, 0, &state, &f.error), f.error, ATTN_RANGE, "4 slots");
  EXPECT_EQ(state.memory, nullptr);
  auto load = [&](const std::string &path) {
    return attn_state_load(f.library, f.model, f.host, path.c_str(), &state, &f.error);
  };
  expectError(load(dir.path("none")), f.error, ATTN_IO, "could not open");
  expectError(load(dir.write("empty", "")), f.error, ATTN_CORRUPT_FILE, "is not a saved state: it is empty");
  expectError(load(dir.write("text", "hello")), f.error, ATTN_CORRUPT_FILE, "not a state of this model");
  expectError(load(dir.path("")), f.error, ATTN_IO, "not a file");
  EXPECT_EQ(state.memory, nullptr);
  ASSERT_EQ(attn_state_create(f.library, f.model, f.host, 1, 8, 0, &state, &f.error), 0);
  auto save = [&](const std::string &path) {
    return attn_state_save(f.library, f.model, &state, path.c_str(), &f.error);
  };
  expectError(save(dir.path("no/such")), f.error, ATTN_IO, "could not write");
  expectError(save("/dev/full"), f.error, ATTN_IO, "No space left");
  attn_state_free(f.host, &state);
  attn_state_free(f.host, nullptr);
  expectError(attn_state_create_pool(f.library, f.model, f.host, 1, 8, 0, 4, &state, &f.error), f.error, ATTN_UNSUPPORTED,
              "'fake' has no pools: compile it again");
  EXPECT_EQ(state.memory, nullptr);
}

TEST(State, UnusedPagesTakeNoSpace) {
  Fake f;
  TempDir dir;
  attn_state_memory state, copy;
  ASSERT_EQ(attn_state_create(f.library, f.model, f.host, 4, 1 << 17, 0, &state, &f.error), 0) << f.error.text;
  std::memset(reinterpret_cast<char *>(state.memory) + state.bytes - (1 << 20), 0x55, 1 << 20); // never used
  Tensor<int64_t> ids(i64, {1, 3});
  Tensor<float> logits(f32, {1, 16});
  ids.values = {1, 2, 3};
  ASSERT_EQ(f.run("prefill", {&ids, nullptr, nullptr}, {&logits}, state.state), 0) << f.error.text;
  auto check = [&](const std::string &path) {
    ASSERT_EQ(attn_state_load(f.library, f.model, f.host, path.c_str(), &copy, &f.error), 0) << f.error.text;
    EXPECT_EQ(copy.bytes, state.bytes);
    EXPECT_EQ(std::memcmp(copy.memory, state.memory, state.bytes - 3 * (1 << 20)), 0);
    EXPECT_EQ(static_cast<char *>(copy.memory)[copy.bytes - 1], 0);
    attn_state_free(f.host, &copy);
  };
  std::string path = dir.path("state");
  ASSERT_EQ(attn_state_save(f.library, f.model, &state, path.c_str(), &f.error), 0) << f.error.text;
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ((uint64_t)info.st_size, state.bytes);
  EXPECT_LT((uint64_t)info.st_blocks * 512, state.bytes / 2);
  check(path);
  // A pipe cannot seek: it gets the zeros.
  std::string pipe = dir.path("pipe"), received = dir.path("received");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread reader([&] { std::ofstream(received) << std::ifstream(pipe).rdbuf(); });
  EXPECT_EQ(attn_state_save(f.library, f.model, &state, pipe.c_str(), &f.error), 0) << f.error.text;
  reader.join();
  check(received);
  attn_state_free(f.host, &state);
}

TEST(State, Pool) {
  Fake f;
  attn_library library = *f.library;
  static uint32_t pages;
  static auto bytes = library.state_bytes;
  static auto init = library.state_init;
  library.pool_bytes = [](const attn_model *model, uint32_t slots, uint64_t capacity, uint32_t page, uint32_t n, attn_error *error) {
    pages = n;
    return bytes(model, slots, capacity, page, error);
  };
  library.pool_init = [](const attn_model *model, void *memory, uint64_t size, uint32_t slots, uint64_t capacity,
                         uint32_t page, uint32_t n, attn_state **state, attn_error *error) {
    EXPECT_EQ(n, pages);
    return init(model, memory, size, slots, capacity, page, state, error);
  };
  library.pool_map = [](const attn_model *, attn_state *, uint32_t, const int32_t *, uint32_t, int64_t, attn_error *) -> int32_t {
    return ATTN_OK;
  };
  attn_state_memory state;
  ASSERT_EQ(attn_state_create_pool(&library, f.model, f.host, 2, 8, 64, 5, &state, &f.error), 0) << f.error.text;
  EXPECT_EQ(pages, 5u);
  attn_state_free(f.host, &state);
  expectError(attn_state_create_pool(&library, f.model, f.host, 9, 8, 64, 5, &state, &f.error), f.error, ATTN_RANGE, "4 slots");
  library.size = offsetof(attn_library, pool_bytes);
  expectError(attn_state_create_pool(&library, f.model, f.host, 2, 8, 64, 5, &state, &f.error), f.error, ATTN_UNSUPPORTED, "has no pools");
}

TEST(Cancel, FromAnotherThread) {
  Fake f;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    attn_runtime_cancel(f.runtime);
  });
  expectError(f.run("forever", {}, {}), f.error, ATTN_CANCELLED, "cancelled after");
  canceller.join();
  // Stays cancelled until resumed.
  expectError(f.run("forever", {}, {}), f.error, ATTN_CANCELLED, "cancelled after 0 ops");
  attn_runtime_resume(f.runtime);
  Tensor<int64_t> ids(i64, {1, 1});
  EXPECT_EQ(f.run("forward", {&ids, nullptr}, {nullptr}), 0) << f.error.text;
}

TEST(Cancel, LeavesTheStateAsItWas) {
  Fake f;
  attn_state_memory state;
  ASSERT_EQ(attn_state_create(f.library, f.model, f.host, 1, 8, 0, &state, &f.error), 0);
  Tensor<int64_t> next(i64, {1, 1});
  Tensor<float> logits(f32, {1, 16});
  attn_runtime_cancel(f.runtime);
  EXPECT_EQ(f.run("decode", {&next}, {&logits}, state.state), ATTN_CANCELLED);
  int64_t length = -1;
  f.library->state_op(f.model, state.state, ATTN_STATE_LENGTH, 0, 0, &length, nullptr);
  EXPECT_EQ(length, 0);
  attn_state_free(f.host, &state);
}

TEST(Cancel, ProgressCallback) {
  std::vector<std::pair<uint64_t, uint64_t>> seen;
  auto progress = [](void *ctx, uint64_t done, uint64_t total) -> int32_t {
    auto *list = static_cast<std::vector<std::pair<uint64_t, uint64_t>> *>(ctx);
    list->emplace_back(done, total);
    return list->size() == 3;
  };
  Fake f({sizeof(attn_runtime_options), 1, 0, 0, progress, &seen});
  Tensor<int64_t> ids(i64, {1, 1});
  Tensor<float> logits(f32, {1, 1, 16});
  EXPECT_EQ(f.run("forward", {&ids, nullptr}, {&logits}), 0);
  EXPECT_EQ(f.run("forward", {&ids, nullptr}, {&logits}), ATTN_CANCELLED);
  EXPECT_EQ(seen[0], (std::pair<uint64_t, uint64_t>(0, 2)));
  EXPECT_EQ(seen[1], (std::pair<uint64_t, uint64_t>(1, 2)));
}

} // namespace
