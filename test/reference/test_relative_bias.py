# RUN: %python %s
"""T5's buckets against numbers computed by hand and in whole numbers."""
import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from reference.relative_bias import bucket, relative_bias


def starts(count, **options):
    """The least distance to the left of each bucket."""
    buckets = bucket(-np.arange(1000), **options)
    return [int(np.flatnonzero(buckets == b)[0]) for b in range(count)]


class Buckets(unittest.TestCase):
    def test_bidirectional(self):
        # after 8 exact ones, bucket 8 + m begins at 8·16^(m/8) = 8·√2^m: 8, 11.3, 16, 22.6, 32, 45.3, 64, 90.5
        self.assertEqual(starts(16), list(range(8)) + [8, 12, 16, 23, 32, 46, 64, 91])
        self.assertEqual(bucket([[0, -1, 1], [7, 8, 127], [128, 129, -10000]]).tolist(), [[0, 1, 17], [23, 24, 31], [31, 31, 15]])

    def test_causal(self):
        # bucket 16 + m begins at 16·8^(m/16) = 16·2^(3m/16); keys after the query share bucket 0
        self.assertEqual(starts(32, bidirectional=False),
                         list(range(16)) + [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113])
        self.assertEqual(bucket([3, 1000, 0, -1, -128, -5000], bidirectional=False).tolist(), [0, 0, 0, 1, 31, 31])

    def test_whole_numbers(self):
        # n ≥ e·(M/e)^(m/k) is n^k·e^m ≥ M^m·e^k. Where both are equal the quotient of two logarithms is m/k but for
        # rounding, and either bucket would do; these sizes come out as they should.
        for buckets, distance, both in [(32, 128, 1), (32, 128, 0), (64, 256, 1), (64, 256, 0), (320, 800, 1), (32, 20, 1),
                                        (8, 64, 1), (10, 77, 1), (32, 512, 0), (5, 9, 0), (2, 3, 0), (4, 2, 1)]:
            all = buckets // 2 if both else buckets
            e, k = all // 2, all - all // 2
            for n in range(distance + 1):
                whole = n if n < e else e + max(m for m in range(k) if n**k * e**m >= distance**m * e**k)
                self.assertEqual(int(bucket(-n, bool(both), buckets, distance)), whole, (buckets, distance, n))

    def test_relative_bias(self):
        table = np.array([[0, 10], [1, 11], [2, 12], [3, 13]])
        # two buckets each way: distance 0, and the rest
        self.assertEqual(relative_bias(table, True, 3).tolist(), [[1, 1, 1, 0, 3, 3, 3], [11, 11, 11, 10, 13, 13, 13]])
        # four buckets to the left: 0, 1, and from 2·2^(m/2): 2, 3 (2.8)
        self.assertEqual(relative_bias(table, False, 4).tolist()[0], [3, 3, 2, 1, 0, 0, 0, 0, 0])


if __name__ == "__main__":
    unittest.main()
