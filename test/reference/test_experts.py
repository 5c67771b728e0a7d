# RUN: %python %s
"""The oracle of a mixture of experts against numbers computed by hand."""
import math
import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from reference.experts import combine_experts, expert_linear, route


class Experts(unittest.TestCase):
    def test_route(self):
        # e^0 : e^-log 3 = 3 : 1; among equals the first.
        weights, experts = route(np.array([[0, math.log(3), 0, -5]]), 2)
        np.testing.assert_allclose(weights, [[0.75, 0.25]], rtol=1e-14)
        self.assertEqual(experts.tolist(), [[1, 0]])

    def test_linear(self):
        weight = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])  # [experts, K, N]
        x, experts = np.array([[1, 10]]), np.array([[1, 0]])
        self.assertEqual(expert_linear(x, weight, experts).tolist(), [[[75, 86], [31, 42]]])
        self.assertEqual(expert_linear(x, weight, experts, transposed=True).tolist(), [[[65, 87], [21, 43]]])
        self.assertEqual(expert_linear(x, weight, experts, np.array([[1, 2], [3, 4]])).tolist(), [[[78, 90], [32, 44]]])

    def test_linear_of_choices(self):
        weight = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
        x, experts = np.array([[[1, 0], [0, 1]]]), np.array([[1, 0]])
        self.assertEqual(expert_linear(x, weight, experts).tolist(), [[[5, 6], [3, 4]]])

    def test_combine(self):
        y, weights = np.array([[[1, 2], [3, 4]]]), np.array([[0.25, 2]])
        self.assertEqual(combine_experts(y, weights).tolist(), [[6.25, 8.5]])
        self.assertEqual(combine_experts(y, weights, np.array([[1, -1]])).tolist(), [[7.25, 7.5]])


if __name__ == "__main__":
    unittest.main()
