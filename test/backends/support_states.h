// A state of the hand-written model, for tests of the support code.
#ifndef ATTNC_TEST_BACKENDS_SUPPORT_STATES_H
#define ATTNC_TEST_BACKENDS_SUPPORT_STATES_H

#include "support_test.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

/// Header, lengths, reach, table, counts: where a state's parts begin.
constexpr size_t kStateHeader = 96;

struct StateTest : testing::Test {
  TestModel m;
  attn_state *state = nullptr;
  char *memory = nullptr;
  uint64_t bytes = 0;
  uint32_t slots = 0;
  const attn_model_descriptor saved = attn_descriptor;

  /// A new state, in memory full of 0xff. pages 0: not a pool.
  void make(uint32_t slotCount, uint64_t capacity, uint32_t page, uint32_t pages = 0) {
    std::free(memory);
    slots = slotCount;
    bytes = pages ? m.library->pool_bytes(m.model, slots, capacity, page, pages, &m.error)
                  : m.library->state_bytes(m.model, slots, capacity, page, &m.error);
    ASSERT_GT(bytes, 0u) << m.text();
    memory = static_cast<char *>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    std::memset(memory, 0xff, bytes);
    ASSERT_EQ(pages ? m.library->pool_init(m.model, memory, bytes, slots, capacity, page, pages, &state, &m.error)
                    : m.library->state_init(m.model, memory, bytes, slots, capacity, page, &state, &m.error),
              ATTN_OK)
        << m.text();
  }
  void TearDown() override {
    std::free(memory);
    attn_descriptor = saved;
  }

  int32_t op(attn_state_verb verb, uint32_t slot, int64_t value, int64_t *result = nullptr) {
    return m.library->state_op(m.model, state, verb, slot, value, result, &m.error);
  }
  int64_t ask(attn_state_verb verb, uint32_t slot = 0, int64_t value = 0) {
    int64_t result = -1;
    EXPECT_EQ(op(verb, slot, value, &result), ATTN_OK) << m.text();
    return result;
  }
  int64_t length(uint32_t slot) { return ask(ATTN_STATE_LENGTH, slot); }
  /// How many pages are in use.
  int64_t used() {
    int64_t count = 0;
    for (int64_t p = 0; p < ask(ATTN_STATE_PAGES); ++p)
      count += ask(ATTN_STATE_PAGE_USES, 0, p) != 0;
    return count;
  }
  int32_t prefill(int64_t batch, int64_t seq, const int32_t *rows = nullptr, int64_t value = 1) {
    TestTensor ids(kI64, {batch, seq}), next(kI64, {batch});
    for (int64_t i = 0; i < batch * seq; ++i)
      ids.ints()[i] = value + i;
    return m.run(PREFILL, {&ids, nullptr}, {&next}, state, rows);
  }
  int32_t append(int32_t slot, int64_t seq, int64_t value) { return prefill(1, seq, &slot, value); }
  void expectOp(attn_state_verb verb, uint32_t slot, int64_t value, int32_t status, const std::string &text) {
    int64_t result;
    EXPECT_EQ(op(verb, slot, value, &result), status);
    EXPECT_EQ(m.text(), text);
  }
};

#endif // ATTNC_TEST_BACKENDS_SUPPORT_STATES_H
