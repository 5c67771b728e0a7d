# RUN: %python %s
"""The oracle of linear attention against numbers computed by hand."""
import math
import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from reference.linear_attention import linear_attention


def rows(*tokens):
    """Tokens as one batch row."""
    return np.array(tokens, float)[None]


class LinearAttention(unittest.TestCase):
    # head_dim 2, head_dim_v 1: the state is the column (S0, S1).
    q, k, v = rows([1, 0], [1, 2]), rows([1, 0], [1, 1]), rows([2], [5])
    log2 = -math.log(2)

    def check(self, got, out, state):
        np.testing.assert_allclose(got[0].ravel(), out, rtol=1e-14)
        np.testing.assert_allclose(got[1].ravel(), state, rtol=1e-14)

    def test_linear(self):
        # S = (2, 0), then (7, 5): out 2, 7 + 10.
        self.check(linear_attention("linear", self.q, self.k, self.v, 1, scale=1), [2, 17], [7, 5])

    def test_default_scale(self):
        self.check(linear_attention("linear", self.q, self.k, self.v, 1), [2 / math.sqrt(2), 17 / math.sqrt(2)], [7, 5])

    def test_gated(self):
        # S = (2, 0), then (1, 0) + (5, 5): out 2, 6 + 10.
        g = rows([-7], [self.log2])
        self.check(linear_attention("gated", self.q, self.k, self.v, 1, decay=g, scale=1), [2, 16], [6, 5])

    def test_gated_per_dimension(self):
        # From S = (4, 4): (2, 4) + (2, 0) = (4, 4), then (4, 2) + (5, 5).
        g = rows([self.log2, 0], [0, self.log2])
        got = linear_attention("gated", self.q, self.k, self.v, 1, decay=g, scale=1, state=np.full((1, 1, 2, 1), 4.0))
        self.check(got, [4, 23], [9, 7])

    def test_delta(self):
        # u = 1/2·2, S = (1, 0); Sᵀk = 1, u = 1·(5 - 1), S = (5, 4): out 1, 5 + 8.
        b = rows([0.5], [1])
        self.check(linear_attention("delta", self.q, self.k, self.v, 1, beta=b, scale=1), [1, 13], [5, 4])

    def test_delta_reads_back_what_it_wrote(self):
        # Keys of length 1 and β = 1: the value replaces what the key held.
        out, state = linear_attention("delta", rows([0.6, 0.8]), rows([0.6, 0.8]), rows([3, 7]), 1, beta=rows([1]), scale=1,
                                      state=np.arange(4.0).reshape(1, 1, 2, 2))
        np.testing.assert_allclose(out, rows([3, 7]), rtol=1e-14)

    def test_gated_delta(self):
        # S = (1, 0); halved (1/2, 0), Sᵀk = 1/2, u = 5 - 1/2, S = (5, 4.5): out 1, 5 + 9.
        g, b = rows([0], [self.log2]), rows([0.5], [1])
        self.check(linear_attention("gated_delta", self.q, self.k, self.v, 1, decay=g, beta=b, scale=1), [1, 14], [5, 4.5])

    def test_query_heads_share_states(self):
        # Heads 0, 1 read kv head 0, heads 2, 3 kv head 1; head_dim 1; one β for both.
        out, state = linear_attention("delta", rows([1, 2, 3, 4]), rows([1, 1]), rows([10, 20]), 4, 2, beta=rows([0.5]), scale=1)
        np.testing.assert_allclose(out, rows([5, 10, 30, 40]))
        np.testing.assert_allclose(state.ravel(), [5, 10])

    def test_no_tokens(self):
        s = np.ones((2, 1, 3, 4))
        out, state = linear_attention("linear", *(np.zeros((2, 0, n)) for n in (3, 3, 4)), 1, state=s)
        self.assertEqual(out.shape, (2, 0, 4))
        np.testing.assert_array_equal(state, s)

    def test_continues_from_its_state(self):
        random = np.random.default_rng(1)
        q, k, v, g, b = (random.standard_normal((2, 7, n)) for n in (8, 4, 6, 4, 2))
        whole = linear_attention("gated_delta", q, k, v, 4, 2, decay=g, beta=b)
        first = linear_attention("gated_delta", q[:, :3], k[:, :3], v[:, :3], 4, 2, decay=g[:, :3], beta=b[:, :3])
        rest = linear_attention("gated_delta", q[:, 3:], k[:, 3:], v[:, 3:], 4, 2, decay=g[:, 3:], beta=b[:, 3:], state=first[1])
        np.testing.assert_allclose(np.concatenate([first[0], rest[0]], 1), whole[0], rtol=1e-12)
        np.testing.assert_allclose(rest[1], whole[1], rtol=1e-12)


if __name__ == "__main__":
    unittest.main()
