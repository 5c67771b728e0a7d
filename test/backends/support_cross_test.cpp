// The cross part of a state: filled once per slot, read, shared by forks; a long random life against plain lists of tokens.
#include "support_states.h"

#include <random>

namespace {
struct Cross : StateTest {
  /// Four slots of 100 tokens, and of 150 tokens across; pages of 64.
  void SetUp() override {
    attn_descriptor.cross_tokens = 150;
    make(4, 100, 0);
  }
  int32_t encode(std::vector<int32_t> rows, int64_t seq, int64_t value, const std::vector<int64_t> &mask = {}) {
    int64_t batch = rows.size();
    TestTensor ids(kI64, {batch, seq}), visible(kI64, {batch, seq}), next(kI64, {batch});
    for (int64_t i = 0; i < batch * seq; ++i)
      ids.ints()[i] = value + i;
    std::copy(mask.begin(), mask.end(), visible.ints());
    return m.run(ENCODE, {&ids, mask.empty() ? nullptr : &visible}, {&next}, state, rows.data());
  }
  int32_t step(int32_t slot, int64_t seq, int64_t value) {
    TestTensor ids(kI64, {1, seq}), next(kI64, {1});
    for (int64_t i = 0; i < seq; ++i)
      ids.ints()[i] = value + i;
    return m.run(STEP, {&ids, nullptr}, {&next}, state, &slot);
  }
  int64_t crossLength(uint32_t slot) { return ask(ATTN_STATE_CROSS_LENGTH, slot); }
};
using Tokens = std::vector<int64_t>;
} // namespace

TEST_F(Cross, FillAndRead) {
  ASSERT_EQ(encode({2, 0}, 3, 10, {1, 0, 1 << 20, 0, 0, int64_t(1) << 40}), ATTN_OK) << m.text();
  EXPECT_EQ(observed.past, (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(observed.tokens, (std::vector<Tokens>{{10, 12}, {15}}));
  EXPECT_EQ(crossLength(2), 2);
  EXPECT_EQ(crossLength(0), 1);
  EXPECT_EQ(length(2), 0);
  ASSERT_EQ(step(2, 5, 100), ATTN_OK) << m.text();
  EXPECT_EQ(observed.cross, (std::vector<Tokens>{{10, 12}}));
  EXPECT_EQ(observed.tokens, (std::vector<Tokens>{{100, 101, 102, 103, 104}}));
  EXPECT_EQ(length(2), 5);
  EXPECT_EQ(crossLength(2), 2);
  ASSERT_EQ(step(1, 1, 7), ATTN_OK); // nothing was encoded
  EXPECT_EQ(observed.cross, (std::vector<Tokens>{{}}));
  ASSERT_EQ(encode({1}, 2, 50, {0, 0}), ATTN_OK); // all padding: still empty
  EXPECT_EQ(crossLength(1), 0);
  ASSERT_EQ(encode({1}, 150, 50), ATTN_OK) << m.text(); // left out: all tokens
  EXPECT_EQ(crossLength(1), 150);
}

TEST_F(Cross, Refused) {
  ASSERT_EQ(encode({3}, 4, 1), ATTN_OK);
  EXPECT_EQ(encode({1, 3}, 4, 1), ATTN_CACHE_FULL);
  EXPECT_EQ(m.text(), "encode: expected an empty cross part of slot 3, got 4 tokens: clear the slot first");
  EXPECT_EQ(crossLength(1), 0);
  EXPECT_EQ(encode({1}, 193, 1), ATTN_CACHE_FULL);
  EXPECT_EQ(m.text(), "encode: expected at most 192 tokens for the cross part of slot 1, got 193");
  EXPECT_EQ(encode({4}, 1, 1), ATTN_RANGE);
  EXPECT_EQ(m.library->pool_bytes(m.model, 2, 100, 0, 5, &m.error), 0u);
  EXPECT_EQ(m.error.code, ATTN_UNSUPPORTED);
  EXPECT_EQ(m.text(), "pool: expected a model without a cross cache");
  EXPECT_EQ(m.library->state_bytes(m.model, 1u << 30, 64, 64, &m.error), 0u);
  EXPECT_EQ(m.text(), "state: expected a size that fits into memory, got 1073741824 slots of 64 tokens");
  int32_t cross = 193; // of slot 1, written by somebody else
  std::memcpy(memory + kStateHeader + 5 * 4, &cross, 4);
  EXPECT_EQ(step(1, 1, 1), ATTN_CORRUPT_FILE);
  EXPECT_EQ(m.text(), "state: expected a cross length within its capacity, got another");
}

TEST_F(Cross, WithoutABound) {
  attn_descriptor.cross_tokens = ATTN_NO_BOUND;
  make(1, 70, 0);
  ASSERT_EQ(encode({0}, 128, 1), ATTN_OK) << m.text();
  EXPECT_EQ(op(ATTN_STATE_CLEAR, 0, 0), ATTN_OK);
  EXPECT_EQ(encode({0}, 129, 1), ATTN_CACHE_FULL);
}

/// What has no cross cache keeps its size.
TEST_F(Cross, None) {
  attn_descriptor.cross_tokens = 0;
  make(3, 100, 0);
  uint64_t head = kStateHeader + 4 * (2 * 3 + 3 * 2 + 6 + 3 + 3 * 2);
  EXPECT_EQ(bytes, (head + 63) / 64 * 64 + 6 * 64 * kTokenBytes);
  EXPECT_EQ(crossLength(1), 0);
  ASSERT_EQ(append(1, 70, 1), ATTN_OK);
  EXPECT_EQ(op(ATTN_STATE_CLEAR, 1, 0), ATTN_OK);
  EXPECT_EQ(length(1), 0);
  EXPECT_EQ(used(), 0);
}

TEST_F(Cross, Cancelled) {
  attn_host host = TestModel::plainHost();
  host.poll = [](void *, uint64_t, uint64_t) -> int32_t { return 1; };
  TestModel cancelled(host);
  TestTensor ids(kI64, {1, 80}), next(kI64, {1});
  EXPECT_EQ(cancelled.run(ENCODE, {&ids, nullptr}, {&next}, state), ATTN_CANCELLED);
  EXPECT_EQ(crossLength(0), 0);
  EXPECT_EQ(used(), 0);
}

/// Rings are for a slot's own tokens.
TEST_F(Cross, BesideARing) {
  attn_descriptor.window = 10;
  attn_descriptor.ring = 74;
  make(2, 100000, 0);
  ASSERT_EQ(encode({0}, 150, 1000), ATTN_OK) << m.text();
  for (int64_t at = 0; at < 1000; at += 50)
    ASSERT_EQ(step(0, 50, at), ATTN_OK) << m.text();
  Tokens expected(150);
  for (int64_t i = 0; i < 150; ++i)
    expected[i] = 1000 + i;
  EXPECT_EQ(observed.cross[0], expected);
  EXPECT_EQ(op(ATTN_STATE_CLEAR, 0, 0), ATTN_OK);
  EXPECT_EQ(used(), 0);
}

TEST_F(Cross, LongLife) {
  std::mt19937 random(1);
  auto below = [&](int64_t n) { return int64_t(random() % n); };
  std::vector<Tokens> own(4), cross(4);
  for (int64_t i = 0, value = 1; i < 3000; ++i, value += 1000) {
    uint32_t slot = below(4), other = below(4);
    switch (below(8)) {
    case 0: {
      int64_t seq = 1 + below(150);
      std::vector<int64_t> mask(seq);
      Tokens visible;
      for (int64_t s = 0; s < seq; ++s)
        if ((mask[s] = below(3)))
          visible.push_back(value + s);
      ASSERT_EQ(encode({(int32_t)slot}, seq, value, mask), cross[slot].empty() ? ATTN_OK : ATTN_CACHE_FULL) << m.text();
      if (cross[slot].empty())
        cross[slot] = visible;
      break;
    }
    case 1:
      ASSERT_EQ(op(ATTN_STATE_CLEAR, slot, 0), ATTN_OK);
      own[slot] = cross[slot] = {};
      break;
    case 2:
      own[slot].resize(below(own[slot].size() + 1));
      ASSERT_EQ(op(ATTN_STATE_TRUNCATE, slot, own[slot].size()), ATTN_OK);
      break;
    case 3:
    case 4:
      ASSERT_EQ(op(below(3) ? ATTN_STATE_FORK : ATTN_STATE_COPY, slot, other), ATTN_OK);
      own[slot] = Tokens(own[other]);
      cross[slot] = Tokens(cross[other]);
      break;
    default: {
      int64_t seq = 1 + below(20);
      bool fits = own[slot].size() + seq <= 100;
      ASSERT_EQ(step(slot, seq, value), fits ? ATTN_OK : ATTN_CACHE_FULL) << m.text();
      if (!fits)
        break;
      for (int64_t s = 0; s < seq; ++s)
        own[slot].push_back(value + s);
      ASSERT_EQ(observed.tokens[0], own[slot]);
      ASSERT_EQ(observed.cross[0], cross[slot]);
    }
    }
    ASSERT_EQ(length(slot), (int64_t)own[slot].size());
    ASSERT_EQ(crossLength(slot), (int64_t)cross[slot].size());
    if (i % 100 == 0) { // taken up again as it is
      attn_state *same;
      ASSERT_EQ(m.library->state_attach(m.model, memory, bytes, &same, &m.error), ATTN_OK) << m.text();
    }
  }
  for (uint32_t slot = 0; slot < 4; ++slot)
    ASSERT_EQ(op(ATTN_STATE_CLEAR, slot, 0), ATTN_OK);
  EXPECT_EQ(used(), 0);
}
