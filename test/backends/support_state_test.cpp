// The support code's states, with every message.
#include "support_states.h"

namespace {
struct States : StateTest {
  /// Three slots of 100 tokens in pages of 64.
  void SetUp() override { make(3, 100, 0); }
  /// The 8 bytes that prefill stored for a token.
  int64_t token(uint32_t slot, int64_t at) {
    int32_t page;
    std::memcpy(&page, memory + kStateHeader + (2 * 3 + slot * 2 + at / 64) * 4, 4);
    int64_t value;
    std::memcpy(&value, memory + ask(ATTN_STATE_PAGE_OFFSET, 0, page) + at % 64 * kTokenBytes, 8);
    return value;
  }
  /// A verb of a later ABI: no value of the enum, which C++ must not know.
  __attribute__((no_sanitize("undefined"))) int32_t unknownVerb(int32_t verb) {
    return m.library->state_op(m.model, state, static_cast<attn_state_verb>(verb), 0, 1, nullptr, &m.error);
  }
};
} // namespace

TEST_F(States, Sizes) {
  auto expect = [&](uint32_t slots, uint64_t capacity, uint32_t page, const char *text) {
    EXPECT_EQ(m.library->state_bytes(m.model, slots, capacity, page, &m.error), 0u);
    EXPECT_EQ(m.error.code, ATTN_RANGE);
    EXPECT_EQ(m.text(), text);
  };
  expect(0, 10, 0, "state: expected at least one slot of 1 to 2147483647 tokens, got 0 slots of 10");
  expect(1, 0, 0, "state: expected at least one slot of 1 to 2147483647 tokens, got 1 slot of 0");
  expect(2, 1ull << 31, 0, "state: expected at least one slot of 1 to 2147483647 tokens, got 2 slots of 2147483648");
  expect(1, 10, 63, "state: expected a page of 64, 128, … 1048576 tokens, got 63");
  expect(1, 10, 1u << 21, "state: expected a page of 64, 128, … 1048576 tokens, got 2097152");
  expect(4000000000u, 2147483647, 64, "state: expected a size that fits into memory, got 4000000000 slots of 2147483647 tokens");
}

TEST_F(States, Memory) {
  attn_state *other;
  std::string needed = "state: expected " + std::to_string(bytes) + " bytes of memory aligned to 64, got ";
  EXPECT_EQ(m.library->state_init(m.model, memory, bytes - 1, 3, 100, 0, &other, &m.error), ATTN_WORKSPACE);
  EXPECT_EQ(m.text(), needed + std::to_string(bytes - 1));
  EXPECT_EQ(m.library->state_init(m.model, memory + 8, bytes, 3, 100, 0, &other, &m.error), ATTN_WORKSPACE);
  EXPECT_EQ(m.text(), needed + "another alignment");
  EXPECT_EQ(m.library->state_init(m.model, nullptr, bytes, 3, 100, 0, &other, &m.error), ATTN_WORKSPACE);
  EXPECT_EQ(m.text(), needed + "a null pointer");
  EXPECT_EQ(m.library->state_init(m.model, memory, bytes, 3, 100, 63, &other, &m.error), ATTN_RANGE);
  EXPECT_EQ(m.library->state_init(m.model, memory, bytes, 3, 100, 0, nullptr, &m.error), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "state: expected a place for the state, got null");
}

TEST_F(States, AppendAndSlots) {
  const int32_t slots[] = {2, 0};
  ASSERT_EQ(prefill(2, 70, slots), ATTN_OK) << m.text();
  EXPECT_EQ(length(0), 70);
  EXPECT_EQ(length(1), 0);
  EXPECT_EQ(length(2), 70);
  EXPECT_EQ(observed.page, 64);
  EXPECT_EQ(observed.past, (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(observed.table, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(token(2, 0), 1);
  EXPECT_EQ(token(0, 69), 140);
  ASSERT_EQ(prefill(1, 30), ATTN_OK) << m.text();
  EXPECT_EQ(observed.past, (std::vector<int32_t>{70}));
  EXPECT_EQ(length(0), 100);
}

TEST_F(States, Full) {
  ASSERT_EQ(prefill(1, 100), ATTN_OK);
  int64_t before = token(0, 99);
  EXPECT_EQ(prefill(2, 1), ATTN_CACHE_FULL);
  EXPECT_EQ(m.text(), "prefill: expected at most 100 tokens in slot 0, got 100 and 1 more");
  EXPECT_EQ(length(1), 0); // nothing was written
  EXPECT_EQ(token(0, 99), before);
}

TEST_F(States, BadSlots) {
  const int32_t same[] = {1, 1}, high[] = {0, 3}, negative[] = {-1};
  EXPECT_EQ(prefill(2, 1, same), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "slots: expected a different slot for every row, got 1 twice");
  EXPECT_EQ(prefill(2, 1, high), ATTN_RANGE);
  EXPECT_EQ(m.text(), "slots: expected slots below 3, got 3");
  EXPECT_EQ(prefill(1, 1, negative), ATTN_RANGE);
  EXPECT_EQ(m.text(), "slots: expected slots below 3, got -1");
  EXPECT_EQ(prefill(4, 1), ATTN_RANGE);
  EXPECT_EQ(m.text(), "prefill: expected at most 3 rows, one per slot of the state, got 4");
}

TEST_F(States, MissingOrForeign) {
  state = nullptr;
  EXPECT_EQ(prefill(1, 1), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "state: expected a state, got none");
  state = reinterpret_cast<attn_state *>(memory + 8);
  EXPECT_EQ(prefill(1, 1), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "state: expected memory aligned to 64 bytes");
  state = reinterpret_cast<attn_state *>(memory);
  memory[8] ^= 1;
  EXPECT_EQ(prefill(1, 1), ATTN_CORRUPT_FILE);
  EXPECT_EQ(m.text(), "state: expected one of this model's build, got another's");
  memory[0] ^= 1;
  EXPECT_EQ(prefill(1, 1), ATTN_CORRUPT_FILE);
  EXPECT_EQ(m.text(), "state: expected a state, got another magic number");
}

TEST_F(States, CancelKeepsLengths) {
  attn_host host = TestModel::plainHost();
  host.poll = [](void *, uint64_t, uint64_t) -> int32_t { return 1; };
  TestModel cancelled(host);
  TestTensor ids(kI64, {1, 5}), next(kI64, {1});
  EXPECT_EQ(cancelled.run(PREFILL, {&ids, nullptr}, {&next}, state), ATTN_CANCELLED);
  EXPECT_EQ(cancelled.text(), "cancelled after 0 of 1 ops");
  EXPECT_EQ(length(0), 0);
}

TEST_F(States, Operations) {
  ASSERT_EQ(prefill(1, 90), ATTN_OK);
  int64_t capacity;
  EXPECT_EQ(m.library->state_op(m.model, state, ATTN_STATE_CAPACITY, 0, 0, &capacity, &m.error), ATTN_OK);
  EXPECT_EQ(capacity, 100);
  EXPECT_EQ(m.library->state_op(m.model, state, ATTN_STATE_COPY, 2, 0, nullptr, &m.error), ATTN_OK);
  EXPECT_EQ(m.library->state_op(m.model, state, ATTN_STATE_TRUNCATE, 0, 10, nullptr, &m.error), ATTN_OK);
  EXPECT_EQ(length(0), 10);
  EXPECT_EQ(length(2), 90);
  for (int64_t at = 0; at < 90; ++at)
    EXPECT_EQ(token(2, at), at + 1);
  EXPECT_EQ(m.library->state_op(m.model, state, ATTN_STATE_COPY, 2, 2, nullptr, &m.error), ATTN_OK);
  expectOp(ATTN_STATE_TRUNCATE, 0, 11, ATTN_RANGE, "state: expected to keep 0 to 10 tokens, got 11");
  expectOp(ATTN_STATE_TRUNCATE, 0, -1, ATTN_RANGE, "state: expected to keep 0 to 10 tokens, got -1");
  expectOp(ATTN_STATE_LENGTH, 3, 0, ATTN_RANGE, "state: expected a slot below 3, got 3");
  expectOp(ATTN_STATE_COPY, 0, -1, ATTN_RANGE, "state: expected a slot below 3, got -1");
  expectOp(ATTN_STATE_FORK, 0, 3, ATTN_RANGE, "state: expected a slot below 3, got 3");
  expectOp(ATTN_STATE_PAGE_OFFSET, 0, 7, ATTN_RANGE, "state: expected a page from 0 to 6, got 7");
  expectOp(ATTN_STATE_PAGE_USES, 0, 6, ATTN_RANGE, "state: expected a page from 0 to 5, got 6");
  expectOp(ATTN_STATE_PAGE_USES, 0, -1, ATTN_RANGE, "state: expected a page from 0 to 5, got -1");
  EXPECT_EQ(ask(ATTN_STATE_PAGE_OFFSET, 0, 6), (int64_t)bytes);
  EXPECT_EQ(unknownVerb(10), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "state: expected a known verb, got 10");
  EXPECT_EQ(op(ATTN_STATE_PAGES, 0, 0), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.library->state_op(m.model, state, ATTN_STATE_LENGTH, 0, 0, nullptr, &m.error), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "state: expected a place for the result, got null");
}

TEST_F(States, Attach) {
  ASSERT_EQ(prefill(1, 90), ATTN_OK);
  std::unique_ptr<char, decltype(&std::free)> copy(static_cast<char *>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), std::free);
  std::memcpy(copy.get(), memory, bytes);
  attn_state *other = nullptr;
  ASSERT_EQ(m.library->state_attach(m.model, copy.get(), bytes, &other, &m.error), ATTN_OK) << m.text();
  state = other;
  EXPECT_EQ(length(0), 90);
  auto expect = [&](int32_t status, const std::string &text, uint64_t given) {
    EXPECT_EQ(m.library->state_attach(m.model, copy.get(), given, &other, &m.error), status);
    EXPECT_EQ(m.text(), text);
    std::memcpy(copy.get(), memory, bytes);
  };
  // Header: magic, build id, bytes, capacity, slots, page, pages per slot, places, pages, pooled; then lengths, reach, table
  // and counts.
  auto *words = reinterpret_cast<uint64_t *>(copy.get());
  auto *sizes = reinterpret_cast<uint32_t *>(copy.get() + 56);
  auto *lengths = reinterpret_cast<int32_t *>(copy.get() + kStateHeader), *reach = lengths + 3, *table = reach + 3, *counts = table + 6;
  std::string total = std::to_string(bytes), sizesDiffer = "state: expected sizes that agree with each other, got others";
  expect(ATTN_CORRUPT_FILE, "state: expected " + total + " bytes, got " + std::to_string(bytes - 1), bytes - 1);
  expect(ATTN_WORKSPACE, "state: expected 96 bytes of memory aligned to 64, got 95", 95);
  words[5] -= 64;
  expect(ATTN_CORRUPT_FILE, sizesDiffer, bytes);
  words[6] = 1000;
  expect(ATTN_CORRUPT_FILE, sizesDiffer, bytes);
  for (int field = 0; field < 6; ++field)
    for (uint32_t value : {0u, 5u, ~0u}) {
      sizes[field] = value;
      if (field != 5 || value) // not a pool
        expect(ATTN_CORRUPT_FILE, sizesDiffer, bytes);
    }
  lengths[0] = 101;
  expect(ATTN_CORRUPT_FILE, "state: expected lengths from 0 to 100, got 101", bytes);
  lengths[2] = -1;
  expect(ATTN_CORRUPT_FILE, "state: expected lengths from 0 to 100, got -1", bytes);
  reach[0] = 89;
  expect(ATTN_CORRUPT_FILE, "state: expected 90 to 100 positions written, got 89", bytes);
  reach[0] = 101;
  expect(ATTN_CORRUPT_FILE, "state: expected 90 to 100 positions written, got 101", bytes);
  table[0] = 6;
  expect(ATTN_CORRUPT_FILE, "state: expected page numbers below 6, got 6", bytes);
  table[0] = -2;
  expect(ATTN_CORRUPT_FILE, "state: expected page numbers below 6, got -2", bytes);
  table[1] = -1;
  expect(ATTN_CORRUPT_FILE, "state: expected 2 pages for 90 tokens, got 1", bytes);
  table[3] = 2;
  expect(ATTN_CORRUPT_FILE, "state: expected the pages of a slot in front, got a gap", bytes);
  table[1] = 0;
  expect(ATTN_CORRUPT_FILE, "state: expected page counts that agree with the table, got others", bytes);
  counts[5] = INT32_MIN;
  expect(ATTN_CORRUPT_FILE, "state: expected page counts that agree with the table, got others", bytes);
  ASSERT_EQ(m.library->state_attach(m.model, copy.get(), bytes, &other, &m.error), ATTN_OK) << m.text();
}
