// How a state's pages are used: forks, rings, pools; a long random life against plain lists of tokens.
#include "support_states.h"

#include <random>

namespace {
struct Pages : StateTest {
  std::vector<std::vector<int64_t>> expected; ///< tokens of each slot

  void begin(uint32_t count) { expected.assign(count, {}); }
  int32_t add(uint32_t slot, int64_t seq, int64_t value) {
    int32_t status = append(slot, seq, value);
    for (int64_t i = 0; i < seq && status == ATTN_OK; ++i)
      expected[slot].push_back(value + i);
    return status;
  }
  /// What the last run, of `slot`, found in the places that it may read.
  void checkRead(uint32_t slot, int64_t seq) {
    const std::vector<int64_t> &found = observed.tokens[0], &wanted = expected[slot];
    ASSERT_EQ(found.size(), wanted.size());
    int64_t first = attn_descriptor.ring ? (int64_t)wanted.size() - seq - attn_descriptor.window : 0;
    for (int64_t at = 0; at < (int64_t)wanted.size(); ++at)
      if (at >= first || at < attn_descriptor.sinks)
        ASSERT_EQ(found[at], wanted[at]) << "position " << at << " of " << wanted.size() << " in slot " << slot;
  }
  /// Everything agrees with itself: a copy can be taken up.
  void checkAttach() {
    std::unique_ptr<char, decltype(&std::free)> copy(static_cast<char *>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), std::free);
    std::memcpy(copy.get(), memory, bytes);
    attn_state *other;
    ASSERT_EQ(m.library->state_attach(m.model, copy.get(), bytes, &other, &m.error), ATTN_OK) << m.text();
  }
  void live(int steps, int64_t longest, int64_t seqs);
};

/// Random operations; each is followed by a look at everything that may be read.
void Pages::live(int steps, int64_t longest, int64_t seqs) {
  std::mt19937 random(7);
  auto draw = [&](int64_t n) { return (int64_t)(random() % n); };
  attn_host host = TestModel::plainHost();
  host.poll = [](void *, uint64_t, uint64_t) -> int32_t { return 1; };
  TestModel cancelled(host);
  begin(slots);
  int64_t value = 1, refused = 0;
  for (int step = 0; step < steps; ++step) {
    int32_t slot = draw(slots), other = draw(slots);
    int64_t size = expected[slot].size(), seq = std::min(1 + draw(draw(3) ? 5 : seqs), longest - size);
    switch (draw(8)) {
    case 0:
    case 1:
      ASSERT_EQ(op(draw(2) ? ATTN_STATE_FORK : ATTN_STATE_COPY, slot, other), ATTN_OK) << m.text();
      expected[slot] = expected[other];
      break;
    case 2: {
      int64_t keep = draw(4) ? size - draw(std::min<int64_t>(size, 40) + 1) : draw(size + 1);
      int32_t status = op(ATTN_STATE_TRUNCATE, slot, keep);
      if (status == ATTN_OK)
        expected[slot].resize(keep);
      else
        ASSERT_TRUE(status == ATTN_RANGE && attn_descriptor.ring && ++refused) << m.text();
      break;
    }
    case 3:
      if (seq > 0) { // fails: the slot is as it was, though the pages were written
        TestTensor ids(kI64, {1, seq}), next(kI64, {1});
        ASSERT_EQ(cancelled.run(PREFILL, {&ids, nullptr}, {&next}, state, &slot), ATTN_CANCELLED);
      }
      break;
    default:
      if (seq > 0) {
        ASSERT_EQ(add(slot, seq, value), ATTN_OK) << m.text();
        checkRead(slot, seq);
        value += seq;
      } else {
        ASSERT_EQ(op(ATTN_STATE_TRUNCATE, slot, 0), ATTN_OK);
        expected[slot].clear();
      }
    }
    ASSERT_EQ(length(slot), (int64_t)expected[slot].size());
    checkAttach();
    if (HasFatalFailure())
      FAIL() << "step " << step;
  }
  EXPECT_EQ(refused > 0, attn_descriptor.ring != 0);
  for (uint32_t slot = 0; slot < slots; ++slot)
    EXPECT_EQ(op(ATTN_STATE_TRUNCATE, slot, 0), ATTN_OK);
  EXPECT_EQ(used(), 0);
}
} // namespace

TEST_F(Pages, Fork) {
  make(3, 300, 64);
  begin(3);
  ASSERT_EQ(add(0, 150, 1), ATTN_OK);
  EXPECT_EQ(used(), 3);
  ASSERT_EQ(op(ATTN_STATE_FORK, 1, 0), ATTN_OK);
  ASSERT_EQ(op(ATTN_STATE_FORK, 2, 0), ATTN_OK);
  expected[1] = expected[2] = expected[0];
  EXPECT_EQ(used(), 3); // nothing is copied
  EXPECT_EQ(ask(ATTN_STATE_PAGE_USES, 0, 2), 3);
  ASSERT_EQ(add(1, 1, 1000), ATTN_OK);
  checkRead(1, 1);
  EXPECT_EQ(used(), 4); // the last, partial page
  ASSERT_EQ(add(0, 1, 2000), ATTN_OK);
  checkRead(0, 1);
  EXPECT_EQ(used(), 5);
  ASSERT_EQ(add(2, 1, 3000), ATTN_OK); // the only one left that holds the original
  checkRead(2, 1);
  EXPECT_EQ(used(), 5);
  // A shared prefix, and appending into the middle of a shared page.
  ASSERT_EQ(op(ATTN_STATE_FORK, 1, 0), ATTN_OK);
  ASSERT_EQ(op(ATTN_STATE_TRUNCATE, 1, 70), ATTN_OK);
  expected[1].assign(expected[0].begin(), expected[0].begin() + 70);
  EXPECT_EQ(used(), 4);
  ASSERT_EQ(add(1, 100, 4000), ATTN_OK);
  checkRead(1, 100);
  ASSERT_EQ(add(0, 100, 5000), ATTN_OK);
  checkRead(0, 100);
  EXPECT_EQ(observed.elements, 15 * 64 * 2);
}

TEST_F(Pages, FreshPagesAreZero) {
  make(1, 200, 128);
  ASSERT_EQ(append(0, 3, 1), ATTN_OK);
  const char *page = memory + ask(ATTN_STATE_PAGE_OFFSET);
  for (uint64_t i = 3 * kTokenBytes; i < 128 * kTokenBytes; ++i)
    ASSERT_EQ(page[i], 0) << i;
  EXPECT_EQ(page[128 * kTokenBytes], (char)0xff); // not in use: not touched
}

TEST_F(Pages, Ring) {
  attn_descriptor.ring = 100 + 30;
  attn_descriptor.window = 100;
  attn_descriptor.sinks = 4;
  make(2, 100000, 64);
  EXPECT_LT(bytes, 100000u); // 2 · (1 + 4) pages of 512 bytes, and two ints per page of the capacity
  EXPECT_EQ(ask(ATTN_STATE_PAGES), 10);
  EXPECT_EQ(ask(ATTN_STATE_CAPACITY), 100000);
  begin(2);
  for (int64_t i = 0; i < 300; ++i) {
    int64_t seq = 1 + i * 7 % 30;
    ASSERT_EQ(add(0, seq, 31 * i), ATTN_OK) << m.text();
    checkRead(0, seq);
  }
  int64_t size = expected[0].size(), last = (size - 1) / 64, low = (last - 3) * 64 + 100;
  EXPECT_EQ(used(), 5);
  std::string text = "state: expected to keep 0 to 64 or " + std::to_string(low) + " to " + std::to_string(size) + " tokens, got ";
  expectOp(ATTN_STATE_TRUNCATE, 0, low - 1, ATTN_RANGE, text + std::to_string(low - 1));
  expectOp(ATTN_STATE_TRUNCATE, 0, 65, ATTN_RANGE, text + "65");
  ASSERT_EQ(op(ATTN_STATE_FORK, 1, 0), ATTN_OK);
  expected[1] = expected[0];
  ASSERT_EQ(op(ATTN_STATE_TRUNCATE, 0, low), ATTN_OK) << m.text();
  expected[0].resize(low);
  ASSERT_EQ(add(0, 30, 5000), ATTN_OK);
  checkRead(0, 30);
  ASSERT_EQ(add(1, 30, 6000), ATTN_OK);
  checkRead(1, 30);
  ASSERT_EQ(op(ATTN_STATE_TRUNCATE, 0, 64), ATTN_OK) << m.text(); // the pinned page
  expected[0].resize(64);
  ASSERT_EQ(add(0, 30, 7000), ATTN_OK);
  checkRead(0, 30);
  // No longer than what the ring holds: nothing takes turns.
  make(2, 300, 64);
  EXPECT_EQ(ask(ATTN_STATE_PAGES), 10);
}

TEST_F(Pages, LongLife) {
  make(4, 400, 64);
  live(4000, 400, 150);
}

TEST_F(Pages, LongLifeOfARing) {
  attn_descriptor.ring = 70 + 60;
  attn_descriptor.window = 70;
  attn_descriptor.sinks = 65;
  make(4, 3000, 64);
  EXPECT_EQ(ask(ATTN_STATE_PAGES), 4 * 6);
  live(8000, 3000, 60);
}

TEST_F(Pages, LongLifeOfARingWithoutSinks) {
  attn_descriptor.ring = 0 + 64;
  attn_descriptor.window = 0;
  make(3, 2000, 64);
  EXPECT_EQ(ask(ATTN_STATE_PAGES), 3 * 2);
  live(8000, 2000, 64);
}

TEST_F(Pages, Pool) {
  make(3, 300, 64, 7);
  begin(3);
  auto map = [&](uint32_t slot, std::vector<int32_t> pages, int64_t tokens) {
    return m.library->pool_map(m.model, state, slot, pages.data(), pages.size(), tokens, &m.error);
  };
  EXPECT_EQ(ask(ATTN_STATE_PAGES), 7);
  EXPECT_EQ(used(), 0);
  EXPECT_EQ(append(0, 1, 1), ATTN_RANGE);
  EXPECT_EQ(m.text(), "prefill: slot 0: expected 1 pages for 1 tokens, got 0");
  ASSERT_EQ(map(0, {6, 1, 3}, 0), ATTN_OK) << m.text();
  ASSERT_EQ(add(0, 140, 1), ATTN_OK) << m.text();
  checkRead(0, 140);
  EXPECT_EQ(std::vector<int32_t>(observed.table.begin(), observed.table.begin() + 3), (std::vector<int32_t>{6, 1, 3}));
  EXPECT_EQ(append(0, 60, 1), ATTN_RANGE);
  EXPECT_EQ(m.text(), "prefill: slot 0: expected 4 pages for 200 tokens, got 3");
  EXPECT_EQ(length(0), 140);
  // Two full pages are shared; writing needs a page of its own.
  ASSERT_EQ(map(1, {6, 1, 0}, 128), ATTN_OK);
  expected[1].assign(expected[0].begin(), expected[0].begin() + 128);
  ASSERT_EQ(add(1, 20, 1000), ATTN_OK) << m.text();
  checkRead(1, 20);
  ASSERT_EQ(map(2, {6, 1}, 120), ATTN_OK);
  EXPECT_EQ(append(2, 1, 1), ATTN_RANGE);
  EXPECT_EQ(m.text(), "prefill: slot 2: expected to write into pages of its own, got page 1, which is mapped 3 times");
  ASSERT_EQ(map(2, {5, 5}, 60), ATTN_OK);
  EXPECT_EQ(append(2, 1, 1), ATTN_RANGE);
  EXPECT_EQ(m.text(), "prefill: slot 2: expected to write into pages of its own, got page 5, which is mapped 2 times");
  // The host copies what it wants to write on, here page 1 to page 2.
  std::memcpy(memory + ask(ATTN_STATE_PAGE_OFFSET, 0, 2), memory + ask(ATTN_STATE_PAGE_OFFSET, 0, 1), 64 * kTokenBytes);
  ASSERT_EQ(map(2, {6, 2, 4}, 120), ATTN_OK);
  expected[2].assign(expected[0].begin(), expected[0].begin() + 120);
  ASSERT_EQ(add(2, 30, 2000), ATTN_OK) << m.text();
  checkRead(2, 30);
  ASSERT_EQ(add(0, 2, 3000), ATTN_OK);
  checkRead(0, 2);
  checkAttach();
  // Truncate leaves the table alone.
  ASSERT_EQ(op(ATTN_STATE_TRUNCATE, 2, 125), ATTN_OK);
  expected[2].resize(125);
  EXPECT_EQ(ask(ATTN_STATE_PAGE_USES, 0, 4), 1);
  ASSERT_EQ(add(2, 10, 4000), ATTN_OK);
  checkRead(2, 10);
  ASSERT_EQ(map(0, {}, 0), ATTN_OK);
  EXPECT_EQ(ask(ATTN_STATE_PAGE_USES, 0, 3), 0);
  EXPECT_EQ(length(0), 0);

  auto refused = [&](int32_t status, const std::string &text) {
    EXPECT_EQ(m.text(), text);
    EXPECT_EQ(m.error.code, status);
    EXPECT_EQ(length(2), 135); // as it was
  };
  map(2, {0, 7}, 10);
  refused(ATTN_RANGE, "pool: expected page numbers below 7, got 7");
  map(2, {-1}, 10);
  refused(ATTN_RANGE, "pool: expected page numbers below 7, got -1");
  std::string limits = "pool: expected at most 5 pages and as many tokens as they and 300 allow, got ";
  map(2, {0, 1, 2, 3, 4, 5}, 10);
  refused(ATTN_RANGE, limits + "6 pages and 10 tokens");
  map(2, {0}, 65);
  refused(ATTN_RANGE, limits + "1 pages and 65 tokens");
  map(2, {0}, -1);
  refused(ATTN_RANGE, limits + "1 pages and -1 tokens");
  map(2, {0, 1, 2, 3, 4}, 301);
  refused(ATTN_RANGE, limits + "5 pages and 301 tokens");
  map(3, {0}, 1);
  refused(ATTN_RANGE, "state: expected a slot below 3, got 3");
  m.library->pool_map(m.model, state, 2, nullptr, 1, 0, &m.error);
  refused(ATTN_INVALID_ARGUMENT, "pool: expected page numbers, got a null pointer");
  m.library->pool_map(m.model, nullptr, 2, nullptr, 0, 0, &m.error);
  refused(ATTN_INVALID_ARGUMENT, "state: expected a state, got none");
  expectOp(ATTN_STATE_FORK, 0, 2, ATTN_INVALID_ARGUMENT, "state: expected pages of its own to copy or fork, got a pool");
  expectOp(ATTN_STATE_COPY, 0, 2, ATTN_INVALID_ARGUMENT, "state: expected pages of its own to copy or fork, got a pool");
  EXPECT_EQ(m.library->pool_bytes(m.model, 1, 10, 0, 0, &m.error), 0u);
  EXPECT_EQ(m.text(), "pool: expected 1 to 2147483647 pages, got 0");
  EXPECT_EQ(m.library->pool_bytes(m.model, 1, 10, 0, 1u << 31, &m.error), 0u);
  EXPECT_EQ(m.text(), "pool: expected 1 to 2147483647 pages, got 2147483648");
  EXPECT_EQ(m.library->pool_init(m.model, memory, bytes, 1, 10, 0, 4, nullptr, &m.error), ATTN_INVALID_ARGUMENT);
  attn_state *other;
  EXPECT_EQ(m.library->pool_init(m.model, memory, bytes, 1, 10, 63, 4, &other, &m.error), ATTN_RANGE);
  make(1, 10, 0);
  EXPECT_EQ(map(0, {0}, 0), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "pool: expected a state made by pool_init, got one of its own pages");
}

TEST_F(Pages, HalfPrecision) {
  attn_descriptor.element_bytes = 2;
  make(1, 64, 64);
  ASSERT_EQ(append(0, 1, 1), ATTN_OK);
  EXPECT_EQ(observed.elements, int64_t(64 * kTokenBytes / 2));
}
