# RUN: %python %s
"""The oracle against numbers computed by hand (or taken from the cited source)."""
import math
import os
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from reference import gpt2, reference as ref, safetensors
from reference.attention import attention, packed, ragged, visible

SOURCE = os.environ.get("ATTN_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def heads(*rows):
    """Rows as one batch, one head."""
    return np.array(rows, float)[None, None]


class Close(unittest.TestCase):
    def close(self, got, expected, tolerance=1e-12):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


class Elementwise(Close):
    # x: values at -4, -1, 0, 1, 4 where they are exact or known to many digits.
    def test_activations(self):
        table = {
            "none": [(-1, -1), (4, 4)],
            "relu": [(-1, 0), (0, 0), (4, 4)],
            "relu2": [(-1, 0), (4, 16)],
            "relu6": [(-1, 0), (4, 4), (7, 6)],
            "leaky_relu": [(-1, -0.01), (4, 4)],
            "gelu": [(0, 0), (1, 0.8413447460685429), (-1, -0.15865525393145707)],
            "gelu_tanh": [(0, 0), (1, 0.8411919906082768), (-1, -0.15880800939172324)],
            "quick_gelu": [(0, 0), (1, 1 / (1 + math.exp(-1.702)))],
            "silu": [(0, 0), (1, 0.7310585786300049), (-1, -0.2689414213699951)],
            "tanh": [(0, 0), (1, 0.7615941559557649)],
            "sigmoid": [(0, 0.5), (1, 0.7310585786300049), (-800, 0), (800, 1)],
            "mish": [(0, 0), (1, 0.8650983882673103)],
            "elu": [(-1, math.exp(-1) - 1), (0, 0), (4, 4)],
            "selu": [(-1, -1.1113307378125625), (1, 1.0507009873554805)],
            "softplus": [(0, math.log(2)), (1, 1.3132616875182228), (800, 800), (-800, 0)],
            "hard_sigmoid": [(-4, 0), (-3, 0), (0, 0.5), (1, 4 / 6), (4, 1)],
            "hard_swish": [(-4, 0), (1, 4 / 6), (4, 4)],
        }
        self.assertEqual(set(table), set(ref.ACTIVATIONS))
        for kind, pairs in table.items():
            for x, y in pairs:
                with self.subTest(kind=kind, x=x):
                    self.close(ref.activation(np.array([x], float), kind), [y])

    def test_erf(self):
        self.close(ref.erf(np.array([0, 0.5, -1.0])), [0, 0.5204998778130465, -0.8427007929497149])

    def test_activations_cover_the_dialect(self):
        with open(os.path.join(SOURCE, "dialect", "AttnBase.td"), encoding="utf-8") as file:
            text = file.read()
        text = text[text.index('"ActivationKind"'):]
        text = text[: text.index(">;")]
        names = {part.split('"')[1] for part in text.split("I32EnumCase<")[1:]}
        self.assertEqual(names, set(ref.ACTIVATIONS))


class Features(Close):
    def test_gated(self):
        self.close(ref.activation([[2, -1]], "relu", times=[[3, 5]]), [[6, 0]])
        self.close(ref.activation([[9, 2]], "relu", times=[[-9, 1]], limit=7, times_offset=1), [[7 * -6, 4]])

    def test_layer_norm(self):
        s = math.sqrt(1.5)
        self.close(ref.layer_norm([[1, 2, 3]], [1, 1, 1], epsilon=0), [[-s, 0, s]])
        self.close(ref.layer_norm([[1, 3]], [2, 3], [10, 20], epsilon=3), [[10 - 1, 20 + 1.5]])  # variance 1
        self.close(ref.layer_norm([[5]], [7], [2]), [[2]])
        self.close(ref.layer_norm([[1, 3, 10, 14]], [1, 2], epsilon=0, groups=2), [[-1, 2, -1, 2]])

    def test_rms_norm(self):
        self.close(ref.rms_norm([[3, 4]], [1, 2], epsilon=0), [[3 / math.sqrt(12.5), 8 / math.sqrt(12.5)]])
        self.close(ref.rms_norm([[1, 1]], [1, 1], [0, 5], epsilon=3), [[0.5, 5.5]])
        self.close(ref.rms_norm([[5, 7, 1, 7]], [0, 1], epsilon=0, groups=2, unit_offset=True),
                   [[5 / math.sqrt(37), 14 / math.sqrt(37), 1 / 5, 14 / 5]])

    def test_l2_norm(self):
        self.close(ref.l2_norm([[3, 4], [0, 0]]), [[0.6, 0.8], [0, 0]])
        self.close(ref.l2_norm([[3, 4]], epsilon=10), [[0.3, 0.4]])

    def test_linear(self):
        x, w = [[1, 2]], [[1, 0, -1], [3, 1, -2]]
        self.close(ref.linear(x, w), [[7, 2, -5]])
        self.close(ref.linear(x, np.transpose(w), transpose_weight=True), [[7, 2, -5]])
        self.close(ref.linear(x, w, bias=[1, 1, 1], act="relu", residual=[[10, 20, 30]]), [[18, 23, 30]])
        self.close(ref.linear([[3, 4]], [[1], [1]], norm="rms", gamma=[1, 0], epsilon=0), [[3 / math.sqrt(12.5)]])
        self.close(ref.linear([[1, 3]], [[1], [10]], norm="layer", gamma=[1, 1], beta=[0, 1], epsilon=0), [[19]])

    def test_naive_f32_is_f32(self):
        for got in (
            ref.linear([[1, 2]], [[0.1], [0.2]], [0.3], "gelu", [[1]], "layer", [1, 1], [0, 0], dtype=np.float32),
            ref.log_softmax([[1, 2]], np.float32),
            attention(heads([1, 2]), heads([1, 2]), heads([3]), soft_cap=5, dtype=np.float32),
        ):
            self.assertEqual(got.dtype, np.float32)

    def test_log_softmax(self):
        self.close(ref.log_softmax([[0, 0, 0, 0]]), [[-math.log(4)] * 4])
        self.close(ref.log_softmax([[1000, 1000 + math.log(3)]]), [[-math.log(4), math.log(3 / 4)]])

    def test_argmax(self):
        self.assertEqual(ref.argmax(np.array([[1, 5, 5, 2], [7, 1, 1, 7]])).tolist(), [1, 0])


class Tokens(Close):
    def test_embedding(self):
        table = [[1, 2], [3, 4], [5, 6]]
        self.close(ref.embedding([[2, 0]], table), [[[5, 6], [1, 2]]])
        self.close(ref.embedding([[1]], table, np.array([[[10, 20]]])), [[[13, 24]]])
        for bad in (-1, 3):
            self.assertRaises(IndexError, ref.embedding, [[bad]], table)

    def test_positions(self):
        self.close(ref.positions([[9, 9, 9]]), [[0, 1, 2]])
        self.close(ref.positions([[9, 9], [9, 9]], past=[4, 0]), [[4, 5], [0, 1]])
        self.close(ref.positions([[9, 9]], given=[[7, 3]]), [[7, 3]])
        self.close(ref.positions([[9, 9, 9]], mask=[[0, 5, 1]]), [[0, 0, 1]])
        self.close(ref.positions([[9, 9], [9, 9]], past=[3, 0], mask=[[1, 0, 1, 1], [0, 1, 0, 0]]), [[2, 2], [0, 0]])
        self.close(ref.positions([[8, 1, 9, 1, 2]], pad=1), [[2, 1, 3, 1, 4]])

    def test_positional_encoding(self):
        self.close(ref.positional_encoding([[0, 1]], 4), [[[0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]]])
        self.assertEqual(ref.positional_encoding([[1]], 3).shape, (1, 1, 3))
        f = 10000 ** (-2 / 3)
        self.close(ref.positional_encoding([[5]], 3, halves=True), [[[math.sin(5), math.sin(5 * f), math.cos(5)]]])

    def test_rotary_table(self):
        self.close(ref.rotary_frequencies(4), [1, 0.01])
        self.close(ref.rotary_table([[3]], [0.5], scale=2), [[[2 * math.cos(1.5), 2 * math.sin(1.5)]]])
        longer = ref.rotary_table([[1, 4], [1, 5]], [1], long_frequencies=[0.1], long_from=5)  # only the second row is longer
        self.close(longer[:, 0], [[math.cos(1), math.sin(1)], [math.cos(0.1), math.sin(0.1)]])
        # 8 positions of 4, factor 3: g = 3·8/4 - 2 = 4, and of two frequencies the last is divided by g.
        ntk = ref.rotary_table([[7]], [1, 0.5], long_from=4, ntk_factor=3)
        self.close(ntk, [[[math.cos(7), math.cos(7 / 8), math.sin(7), math.sin(7 / 8)]]])

    def test_rotary(self):
        x = np.arange(1.0, 5.0).reshape(1, 1, 4)
        c, s, c2, s2 = math.cos(1), math.sin(1), math.cos(0.01), math.sin(0.01)
        four, two = [[[c, c2, s, s2]]], [[[c, s]]]
        self.close(ref.rotary(x, [[[1, 1, 0, 0]]], 1), x)
        self.close(ref.rotary(x, four, 1), [[[c - 3 * s, 2 * c2 - 4 * s2, s + 3 * c, 2 * s2 + 4 * c2]]])
        self.close(ref.rotary(x, four, 1, interleaved=True), [[[c - 2 * s, s + 2 * c, 3 * c2 - 4 * s2, 3 * s2 + 4 * c2]]])
        self.close(ref.rotary(x, two, 2), [[[c - 2 * s, s + 2 * c, 3 * c - 4 * s, 3 * s + 4 * c]]])
        self.close(ref.rotary(x, two, 1), [[[c - 2 * s, s + 2 * c, 3, 4]]])

    def test_pool(self):
        x = [[[1, 10], [2, -20], [4, 0]]]
        expected = {"first": [1, 10], "last": [2, -20], "mean": [1.5, -5], "max": [2, 10],
                    "mean_sqrt": [3 / math.sqrt(2), -10 / math.sqrt(2)], "weighted_mean": [5 / 3, -10]}
        for kind in ref.POOLS:
            self.close(ref.pool(x, kind, [[1, 1, 0]]), [expected[kind]])
            self.close(ref.pool(x, kind, [[0, 0, 0]]), [[1, 10] if kind == "first" else [0, 0]])
        self.close(ref.pool(x, "weighted_mean", [[0, 1, 1]]), [[16 / 5, -8]])

    def test_shift_right(self):
        self.close(ref.shift_right([[5, 6, 7]]), [[0, 5, 6]])
        self.close(ref.shift_right([[[1, 2], [3, 4]]]), [[[0, 0], [1, 2]]])

    def test_select_token(self):
        x = np.arange(12.0).reshape(2, 3, 2)
        self.close(ref.select_token(x), [[4, 5], [10, 11]])
        self.close(ref.select_token(x, [0, 1]), [[0, 1], [8, 9]])
        self.assertRaises(IndexError, ref.select_token, x, [0, 3])

    def test_heads(self):
        x = np.arange(8.0).reshape(1, 2, 4)
        self.close(ref.split_heads(x, 2), [[[[0, 1], [4, 5]], [[2, 3], [6, 7]]]])
        self.close(ref.merge_heads(ref.split_heads(x, 2)), x)


Q, K, V = heads([1, 0, 0], [0, 1, 0]), heads([1, 2, 3], [4, 5, 6]), heads([0, 1, 0], [1, 0, 1])
ZERO = heads([0.0], [0.0], [0.0])  # three queries or keys whose scores are all 0


def row_means(keep):
    """Attention with all scores 0 and values 0, 1, 2, ...: each row is the mean of its visible keys."""
    return [np.flatnonzero(row).mean() if any(row) else 0.0 for row in keep]


class Attention(Close):
    def test_semantics_hand_case(self):
        # cpu- and course-independent: e^(5/√3) / (e^(2/√3) + e^(5/√3)) = .8496746 for the second row
        self.close(attention(Q, K, V, causal=True)[0, 0], [[0, 1, 0], [0.8496746, 0.15032543, 0.8496746]], 1e-7)

    def test_course_masks_are_truth_values(self):
        mask = np.array([[0, 0], [-1e9, 0]]) != 0
        self.close(attention(Q, K, V, bias=mask)[0, 0], [[0, 0, 0], [0, 1, 0]])

    def test_scale(self):
        p = 1 / (1 + math.exp(-3))
        self.close(attention(Q, K, V, scale=1.0)[0, 0, 0], [p, 1 - p, p])
        self.close(attention(Q, K, V, scale=0.0)[0, 0, 0], [0.5, 0.5, 0.5])

    def test_soft_cap_before_bias(self):
        # scores 1 and 4, capped at 2·tanh(s/2); the bias of 1 is added to the capped score
        a, b = 2 * math.tanh(0.5) + 1, 2 * math.tanh(2)
        p = math.exp(b) / (math.exp(a) + math.exp(b))
        self.close(attention(Q, K, V, scale=1.0, soft_cap=2.0, bias=np.array([[1.0, 0.0]]))[0, 0, 0], [p, 1 - p, p])

    def test_score_mod_between_cap_and_bias(self):
        got = attention(Q, K, V, scale=1.0, soft_cap=2.0, score_mod=lambda s, b, h, i, j: s * 0 + j * math.log(3))
        self.close(got[0, 0], [[0.75, 0.25, 0.75]] * 2)

    def test_prob_mod(self):
        self.close(attention(Q, K, V, scale=0.0, prob_mod=lambda p, b, h, i, j: 4 * p)[0, 0, 0], [2, 2, 2])
        # twice the first key, none of the second; queries stand at 3 and 4; probabilities are asked for before it
        out, softmax = attention(Q, K, V, scale=0.0, offset=3, results=("out", "softmax"),
                                 prob_mod=lambda p, b, h, i, j: p * (b + h + i - 1) * (j == 0))
        self.close(out[0, 0], [[0, 1, 0], [0, 1.5, 0]])
        self.close(softmax[0, 0], [[0.5, 0.5]] * 2)
        # a hidden pair stays hidden
        self.close(attention(Q, K, V, causal=True, prob_mod=lambda p, b, h, i, j: p + 1)[0, 0, 0], [0, 2, 0])

    def test_causal_offsets(self):
        values = heads([0.0], [1.0], [2.0])
        for offset, expected in [(0, [0, 0.5, 1]), (1, [0.5, 1, 1]), (-1, [0, 0, 0.5]), (-3, [0, 0, 0])]:
            with self.subTest(offset=offset):
                self.close(attention(ZERO, ZERO, values, causal=True, offset=offset)[0, 0, :, 0], expected)
        two = np.repeat(ZERO, 2, 0)
        got = attention(two, two, np.repeat(values, 2, 0), causal=True, offset=np.array([0, 1]))[:, 0, :, 0]
        self.close(got, [[0, 0.5, 1], [0.5, 1, 1]])

    def test_windows_and_sinks(self):
        def keep(**options):
            return visible(1, 1, 4, 4, **options)[0, 0].astype(int).tolist()

        self.assertEqual(keep(window_left=1, causal=True), [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
        self.assertEqual(keep(window_left=0, window_right=1), [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]])
        self.assertEqual(keep(window_right=0), [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
        self.assertEqual(keep(window_left=0, sinks=1, causal=True), [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
        self.assertEqual(keep(window_left=0, window_right=0, sinks=2)[3], [1, 1, 0, 1])
        self.assertEqual(visible(1, 1, 1, 4, window_left=1, causal=True, offset=2)[0, 0].astype(int).tolist(), [[0, 1, 1, 0]])

    def test_bottom_right(self):
        values = heads([1.0], [2.0], [3.0])
        two = ZERO[:, :, :2]
        self.close(attention(two, ZERO, values, causal=True, bottom_right=True)[0, 0, :, 0], [1.5, 2])
        self.close(attention(two, ZERO, values, causal=True, bottom_right=True, offset=-1)[0, 0, :, 0], [1, 1.5])
        # the last query stands at the last valid key: at 2 of 3 rows nothing is left to see for the first
        self.close(attention(ZERO, ZERO, values, causal=True, bottom_right=True, kv_len=[2])[0, 0, :, 0], [0, 1, 1.5])
        batch = [np.repeat(x, 2, 0) for x in (ZERO, ZERO, values)]
        got = attention(*batch, causal=True, bottom_right=True, kv_len=np.array([3, 1], np.int32))[:, 0, :, 0]
        self.close(got, [[1, 1.5, 2], [0, 0, 1]])

    def test_alibi(self):
        # slopes ln 2 and 0: each step away from the query halves the weight
        zero = np.zeros((1, 2, 2, 1))
        values = np.array([1.0, 4.0]).reshape(1, 1, 2, 1).repeat(2, 1)
        self.close(attention(zero, zero, values, alibi=[math.log(2), 0])[0, :, :, 0], [[3, 3], [2.5, 2.5]])
        masked = attention(zero, zero, values, alibi=[1, 0.5], offset=3, results=("masked",))
        self.close(masked[0], [[[-3, -2], [-4, -3]], [[-1.5, -1], [-2, -1.5]]])

    def test_relative(self):
        table = [[10, 20, 30]]  # a step back or more, the same place, a step ahead or more
        got = attention(ZERO, ZERO, ZERO, relative=table, results=("masked",))[0, 0]
        self.close(got, [[20, 30, 30], [10, 20, 30], [10, 10, 20]])
        got = attention(ZERO, ZERO, ZERO, relative=table, offset=2, results=("masked",))[0, 0]
        self.close(got, [[10, 10, 20], [10, 10, 10], [10, 10, 10]])
        self.close(attention(ZERO, ZERO, ZERO, relative=[[7]], results=("masked",))[0, 0], [[7] * 3] * 3)

    def test_order_of_biases(self):
        # all of them add up, after score_mod, which squares; the soft cap comes first
        got = attention(heads([1.0]), heads([2.0], [3.0]), heads([0.0], [0.0]), scale=1.0, score_mod=lambda s, b, h, i, j: s * s,
                        alibi=[10], relative=[[100, 200, 300]], bias=np.array([[1000.0, 2000.0]]), results=("masked",))
        self.close(got[0, 0], [[4 + 0 + 200 + 1000, 9 + 10 + 300 + 2000]])

    def test_prefix(self):
        def keep(**options):
            return visible(1, 1, 3, 3, **options)[0, 0].astype(int).tolist()

        self.assertEqual(keep(prefix=[2]), [[1, 1, 0], [1, 1, 0], [1, 1, 1]])
        self.assertEqual(keep(prefix=[2], causal=True), keep(prefix=[2]))
        self.assertEqual(keep(prefix=[0]), keep(causal=True))
        self.assertEqual(keep(prefix=[9]), [[1] * 3] * 3)
        self.assertEqual(keep(prefix=[2], window_left=0), [[1, 1, 0], [0, 1, 0], [0, 0, 1]])
        self.assertEqual(visible(2, 1, 1, 3, prefix=[0, 2], offset=-1)[:, 0, 0].astype(int).tolist(), [[0, 0, 0], [1, 1, 0]])

    def test_documents(self):
        ids = [[5, 5, 9]]
        self.assertEqual(visible(1, 1, 3, 3, documents=ids)[0, 0].astype(int).tolist(), [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
        self.assertEqual(visible(1, 1, 1, 3, documents=ids, offset=2)[0, 0].astype(int).tolist(), [[0, 0, 1]])
        # no document for the second query: an error, unless it sees nothing anyway
        self.assertRaises(IndexError, visible, 1, 1, 2, 3, documents=ids, offset=2)
        self.assertFalse(visible(1, 1, 2, 3, documents=ids, offset=2, kv_len=[0]).any())

    def test_ragged(self):
        # Lengths 1, 0 and 2 with values 1 | | 2, 6: causal means of each alone
        rows = np.zeros((1, 3, 1))
        v = np.array([1.0, 2.0, 6.0]).reshape(1, 3, 1)
        out, lse = ragged(rows, rows, v, [0, 1, 1, 3], 1, causal=True, results=("out", "lse"))
        self.close(out[0, :, 0], [1, 2, 4])
        self.close(lse, [[[0, 0, math.log(2)]]])
        # One query row each over keys 0 and 1, 2; the second sequence sees only j = b = 1; prefixes are per sequence
        got = ragged(rows[:, :2], rows, v, [0, 1, 2], 1, key_offsets=[0, 1, 3], mask_mod=lambda b, h, i, j: j == b)
        self.close(got[0, :, 0], [1, 6])
        got = ragged(rows, rows, v, [0, 1, 3], 1, prefix=np.array([1, 2]))
        self.close(got[0, :, 0], [1, 4, 4])
        got = ragged(rows, rows, v, [0, 1, 3], 1, score_mod=lambda s, b, h, i, j: s + b * j * math.log(3))
        self.close(got[0, :, 0], [1, 5, 5])

    def test_storage_types(self):
        # scores 1 and 1 + 2^-9, which bf16 rounds to 1: probabilities of a half, and of 4/3 the nearest bf16
        out, softmax = attention(heads([1.0]), heads([1.0], [1 + 2.0**-9]), heads([0.0], [8 / 3]), scale=1.0, dtype=np.float32,
                                 storage="bf16", results=("out", "softmax"))
        self.assertEqual(softmax[0, 0].tolist(), [[0.5, 0.5]])
        self.assertEqual(out[0, 0].tolist(), [[1.3359375]])
        # f16 keeps 1 + 2^-9, and has 10 bits after the point: 1024.6 is 1025
        got = attention(heads([1.0]), heads([1 + 2.0**-9]), heads([1024.6]), scale=1.0, dtype=np.float32, storage="f16", results=("raw", "out"))
        self.assertEqual([x.item() for x in got], [1 + 2.0**-9, 1025])

    def test_key_mask_and_lengths(self):
        values = heads([0.0], [1.0], [2.0])
        self.close(attention(ZERO, ZERO, values, key_mask=[[1, 0, 7]])[0, 0, :, 0], [1, 1, 1])
        self.close(attention(ZERO, ZERO, values, kv_len=[2])[0, 0, :, 0], [0.5] * 3)
        self.close(attention(ZERO, ZERO, values, kv_len=[0])[0, 0, :, 0], [0] * 3)

    def test_mask_mod(self):
        documents = np.array([0, 0, 1])
        got = attention(ZERO, ZERO, heads([0.0], [1.0], [2.0]), mask_mod=lambda b, h, i, j: documents[i] == documents[j])
        self.close(got[0, 0, :, 0], [0.5, 0.5, 2])

    def test_dense_masks(self):
        values = heads([0.0], [1.0], [2.0])
        self.close(attention(ZERO, ZERO, values, bias=np.array([[True, False, True]]))[0, 0, :, 0], [1] * 3)
        self.close(attention(ZERO, ZERO, values, bias=np.array([[0, math.log(2), -np.inf]]))[0, 0, :, 0], [2 / 3] * 3)
        # a short last dimension hides the rest
        self.close(attention(ZERO, ZERO, values, bias=np.zeros((3, 2)))[0, 0, :, 0], [0.5] * 3)
        self.close(attention(ZERO, ZERO, values, bias=np.ones((3, 2), bool))[0, 0, :, 0], [0.5] * 3)
        # last dimension 1 broadcasts
        self.close(attention(ZERO, ZERO, values, bias=np.array([[True], [False], [True]]))[0, 0, :, 0], [1, 0, 1])

    def test_grouped_heads_are_interleaved(self):
        q = np.zeros((1, 4, 1, 2))
        k = np.zeros((1, 2, 1, 2))
        v = np.array([1.0, 2.0]).reshape(1, 2, 1, 1)
        self.assertEqual(attention(q, k, v)[0, :, 0, 0].tolist(), [1, 1, 2, 2])

    def test_value_width_and_packed_forms(self):
        rng = np.random.default_rng(0)
        q, k, v = (rng.standard_normal((2, 3, n)) for n in (4 * 5, 2 * 5, 2 * 7))
        out, lse = packed(q, k, v, 4, 2, causal=True, results=("out", "lse"))
        self.assertEqual((out.shape, lse.shape), ((2, 3, 28), (2, 4, 3)))
        head = attention(q[:, :, 5:10][:, None], k[:, :, :5][:, None], v[:, :, :7][:, None], causal=True)
        self.close(out[:, :, 7:14], head[:, 0])

    def test_lse_and_scores(self):
        out, lse, raw, capped, masked, softmax = attention(
            Q, K, V, scale=1.0, soft_cap=2.0, causal=True, results=("out", "lse", "raw", "capped", "masked", "softmax"))
        self.close(raw[0, 0], [[1, 4], [2, 5]])
        self.close(capped[0, 0], 2 * np.tanh(np.array([[0.5, 2], [1, 2.5]])))
        self.assertEqual(masked[0, 0, 0, 1], -np.inf)
        self.close(softmax[0, 0, 0], [1, 0])
        self.assertEqual(attention(Q, K, V, causal=True, results=("keep",))[0, 0].tolist(), [[True, False], [True, True]])
        self.close(lse[0, 0], [capped[0, 0, 0, 0], math.log(math.exp(capped[0, 0, 1, 0]) + math.exp(capped[0, 0, 1, 1]))])

    def test_large_scores(self):
        got, lse = attention(heads([1e4]), heads([1.0], [2.0]), heads([3.0], [4.0]), scale=1.0, results=("out", "lse"))
        self.close(got[0, 0], [[4.0]])
        self.close(lse[0, 0], [2e4])

    def test_sink_logits(self):
        # scores 0, 0 and a sink of ln 2: probabilities 1/4, 1/4, and 1/2 for nothing
        out, lse = attention(ZERO, heads([0.0], [0.0]), heads([4.0], [8.0]), sink_logits=[math.log(2)], results=("out", "lse"))
        self.close(out[0, 0, :, 0], [3, 3, 3])
        self.close(lse[0, 0], [math.log(4)] * 3)
        out = attention(ZERO, ZERO, heads([1.0], [2.0], [3.0]), sink_logits=[5.0], kv_len=[0])
        self.close(out[0, 0, :, 0], [0, 0, 0])

    def test_rows_with_nothing_visible(self):
        values = heads([1.0], [2.0], [6.0])
        for rows, expected in [("zero", 0), ("mean", 3), ("trax", 9)]:
            with self.subTest(rows=rows):
                out, lse = attention(ZERO, ZERO, values, key_mask=[[0, 0, 0]], masked_rows=rows, results=("out", "lse"))
                self.close(out[0, 0, :, 0], [expected] * 3)
                self.assertTrue(np.isneginf(lse).all())
        # over the valid keys only, and only in the rows that see nothing
        for rows, expected in [("zero", 0), ("mean", 1.5), ("trax", 3)]:
            with self.subTest(rows=rows, kv_len=2):
                out = attention(ZERO, ZERO, values, causal=True, offset=-1, kv_len=[2], masked_rows=rows)
                self.close(out[0, 0, :, 0], [expected, 1, 1.5])

    def test_no_keys(self):
        empty = np.zeros((1, 1, 0, 1))
        for rows in ("zero", "mean", "trax"):
            out, lse = attention(ZERO, empty, empty, masked_rows=rows, results=("out", "lse"))
            self.assertEqual(out.tolist(), [[[[0.0]] * 3]])
            self.assertTrue(np.isneginf(lse).all())

    def test_hidden_nan_does_not_leak(self):
        k, v = heads([0.0], [np.nan], [0.0]), heads([2.0], [np.inf], [np.nan])
        with np.errstate(invalid="ignore"):
            self.close(attention(ZERO, k, v, key_mask=[[1, 0, 0]])[0, 0, :, 0], [2, 2, 2])
            self.close(attention(ZERO, k, v, bias=np.array([[0.0, -np.inf, -np.inf]]))[0, 0, :, 0], [2, 2, 2])
            self.assertTrue(np.isnan(attention(ZERO, ZERO, v, kv_len=[3])).all())


class Files(Close):
    def test_bf16_rounds_to_nearest_even(self):
        # 1 + 2^-8 lies halfway between 1 and 1 + 2^-7: to even; 1 + 3·2^-8 halfway to 1 + 2^-6
        x = np.array([1, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -3.3895314e38, np.inf, np.nan], np.float32)
        got = safetensors.round_to(x, "bf16")
        self.assertEqual(got[:3].tolist(), [1, 1, 1 + 2.0**-6])
        self.assertTrue(np.isfinite(got[3]) and np.isinf(got[4]) and np.isnan(got[5]))

    def test_round_trip(self):
        tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2], np.int64), "c": np.float32([1.5])}
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "x.safetensors")
            safetensors.write(path, tensors, {"a": "bf16", "c": "f16"})
            got = safetensors.read(path)
        self.assertEqual(got["a"].tolist(), tensors["a"].tolist())
        self.assertEqual(got["b"].tolist(), [1, 2])
        self.assertEqual((got["c"].dtype, got["c"].tolist()), (np.float16, [1.5]))


class Models(Close):
    def test_summarizer_logits(self):
        # expected.npz: transformers in float64, logits stored as float32
        directory = os.path.join(SOURCE, "examples", "summarizer")
        expected = np.load(os.path.join(directory, "expected.npz"))
        got = gpt2.GPT2(directory).forward(expected["input_ids"])
        error = np.linalg.norm(got - expected["logits"]) / np.linalg.norm(expected["logits"])
        print("GPT-2 reference against transformers: relative error %.2g" % error)
        self.assertLess(error, 1e-6)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
