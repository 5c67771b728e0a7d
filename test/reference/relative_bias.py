"""T5's relative position buckets, as Hugging Face's T5Attention._relative_position_bucket computes them."""
import math

import numpy as np


def bucket(distance, bidirectional=True, num_buckets=32, max_distance=128):
    """The bucket of distances key - query, any shape; in f32 like torch, whose log is right to the last bit here."""
    f32 = np.float32
    distance = np.asarray(distance, np.int64)
    first = np.zeros_like(distance)
    if bidirectional:
        num_buckets //= 2
        first += np.where(distance > 0, num_buckets, 0)
        distance = np.abs(distance)
    else:
        distance = -np.minimum(distance, 0)
    exact = num_buckets // 2
    ratio = np.maximum(distance, 1).astype(f32) / f32(exact)
    log = np.log(ratio.astype(np.float64)).astype(f32)
    large = exact + (log / f32(math.log(max_distance / exact)) * f32(num_buckets - exact)).astype(np.int64)
    return first + np.where(distance < exact, distance, np.minimum(large, num_buckets - 1))


def relative_bias(table, bidirectional=False, max_distance=128):
    """[heads, 2R+1] of `table [buckets, heads]`, distances -R … R for R = max_distance."""
    distances = np.arange(-max_distance, max_distance + 1)
    return np.asarray(table)[bucket(distances, bidirectional, len(table), max_distance)].T
