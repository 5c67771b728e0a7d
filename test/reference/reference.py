"""What every op of the attn dialect computes, in numpy, naively: the oracle of the end-to-end tests.

Everything is computed in float64, or in `dtype` where a function has that argument (the "naive f32" that
docs/performance.md and the tolerances speak of). Unit-tested on hand-computed values in test_reference.py.
Formulas: dialect/AttnOps.td. Shapes: features [batch, seq, width], heads [batch, heads, seq, head_dim].
"""
import math

import numpy as np

# ---- Elementwise ------------------------------------------------------------------------------------------

_erf = np.vectorize(math.erf, otypes=[np.float64])


def erf(x):
    """erf, exact to float64."""
    return _erf(x) if x.size else x


def sigmoid(x):
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def softplus(x):
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# Constants of SELU: Klambauer et al. 2017.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "leaky_relu": lambda x: np.where(x >= 0, x, 0.01 * x),
    "gelu": lambda x: x / 2 * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "silu": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "softplus": softplus,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * (np.clip(x + 3, 0, 6) / 6),
}


def activation(x, kind, times=None, limit=np.inf, times_offset=0.0, dtype=np.float64):
    """Elementwise; `kind` is a name of the dialect's enum. With `times` a gated linear unit."""
    y = ACTIVATIONS[kind](np.minimum(np.asarray(x, dtype), dtype(limit))).astype(dtype)
    return y if times is None else y * (np.clip(np.asarray(times, dtype), -limit, limit) + dtype(times_offset))


# ---- Norms and products -----------------------------------------------------------------------------------


def _norm(x, gamma, beta, epsilon, groups, unit_offset, dtype, centred):
    """layer_norm and rms_norm."""
    shape, x = np.shape(x), np.asarray(x, dtype)
    x = x.reshape(*shape[:-1], groups, shape[-1] // groups)
    if centred:
        x = x - x.mean(-1, keepdims=True)
    y = x / np.sqrt((x * x).mean(-1, keepdims=True) + dtype(epsilon)) * (np.asarray(gamma, dtype) + dtype(unit_offset))
    return (y if beta is None else y + np.asarray(beta, dtype)).reshape(shape)


def layer_norm(x, gamma, beta=None, epsilon=1e-5, groups=1, unit_offset=False, dtype=np.float64):
    """Over each of `groups` equal parts of the last dimension, with the biased variance; times 1 + gamma with unit_offset."""
    return _norm(x, gamma, beta, epsilon, groups, unit_offset, dtype, True)


def rms_norm(x, gamma, beta=None, epsilon=1e-5, groups=1, unit_offset=False, dtype=np.float64):
    """The same without the mean."""
    return _norm(x, gamma, beta, epsilon, groups, unit_offset, dtype, False)


def l2_norm(x, epsilon=1e-12):
    """x / max(‖x‖, epsilon) over the last dimension."""
    x = np.asarray(x, np.float64)
    return x / np.maximum(np.sqrt((x * x).sum(-1, keepdims=True)), epsilon)


def linear(x, weight, bias=None, act="none", residual=None, norm="none", gamma=None, beta=None, epsilon=1e-5,
           transpose_weight=False, dtype=np.float64):
    """act(norm(x) · weight + bias) + residual; weight [K, N], or [N, K] with transpose_weight."""
    x = np.asarray(x, dtype)
    if norm != "none":
        x = {"layer": layer_norm, "rms": rms_norm}[norm](x, gamma, beta, epsilon, dtype=dtype)
    weight = np.asarray(weight, dtype)
    y = x @ (weight.T if transpose_weight else weight)
    if bias is not None:
        y = y + np.asarray(bias, dtype)
    y = activation(y, act, dtype=dtype)
    return y if residual is None else y + np.asarray(residual, dtype)


# ---- Tokens -----------------------------------------------------------------------------------------------


def embedding(ids, table, residual=None):
    """table[ids] (+ residual); IndexError for an id outside 0 <= id < entries."""
    ids, table = np.asarray(ids), np.asarray(table, np.float64)
    if ids.size and (ids.min() < 0 or ids.max() >= len(table)):
        raise IndexError("expected ids in [0, %d)" % len(table))
    return table[ids] + (0 if residual is None else residual)


def positions(ids, given=None, past=0, mask=None, pad=None):
    """`given`, or past[b] + s, or the tokens that count before it by `mask` [batch, keys] or `pad`; past is a number or [batch]."""
    if given is not None:
        return np.asarray(given)
    ids = np.asarray(ids)
    if pad is not None:
        return np.where(ids != pad, pad + np.cumsum(ids != pad, 1), pad)
    at = np.broadcast_to(np.reshape(past, (-1, 1)), (len(ids), 1)) + np.arange(ids.shape[1])
    if mask is None:
        return at
    mask = np.pad(np.asarray(mask) != 0, [(0, 0), (0, max(0, at.max(initial=-1) + 1 - np.shape(mask)[1]))])
    return np.maximum(np.take_along_axis(np.cumsum(mask, 1), at, 1) - 1, 0)


def positional_encoding(position, width, halves=False):
    """Sinusoids: [..., 2i] = sin(p / 10000^(2i/width)), [..., 2i+1] = cos of the same; with `halves` the sines first."""
    index = np.arange(width)
    angle = np.asarray(position, np.float64)[..., None] / 10000.0 ** (2 * (index // 2) / width)
    y = np.where(index % 2 == 0, np.sin(angle), np.cos(angle))
    return np.concatenate([y[..., ::2], y[..., 1::2]], -1) if halves else y


def rotary_frequencies(dim, theta=10000.0):
    """theta^(-2i/dim)."""
    return theta ** (-np.arange(0, dim, 2) / dim)


def rotary_table(position, frequencies, scale=1.0, long_frequencies=None, long_from=None, ntk_factor=None):
    """scale·cos(p·f), then scale·sin(p·f); other frequencies in rows that are longer than long_from (see attn.rotary_table)."""
    position, frequencies = np.asarray(position, np.float64), np.asarray(frequencies, np.float64)
    f = np.broadcast_to(frequencies, (len(position), 1, len(frequencies))).copy()
    for row, length in enumerate(position.max(1, initial=-1) + 1):
        if long_from is None or length <= long_from:
            continue
        if long_frequencies is not None:
            f[row] = long_frequencies
        else:
            g = ntk_factor * length / long_from - (ntk_factor - 1)
            f[row] *= g ** (-2 * np.arange(len(frequencies)) / (2 * len(frequencies) - 2))
    angle = position[..., None] * f
    return scale * np.concatenate([np.cos(angle), np.sin(angle)], -1)


def rotary(x, table, heads, interleaved=False):
    """Rotates pairs (i, i + R/2), or (2i, 2i+1), of each head of x [batch, seq, heads*head_dim] by table [batch, seq, R]."""
    x, table = np.asarray(x, np.float64), np.asarray(table, np.float64)
    batch, seq, width = x.shape
    y = x.reshape(batch, seq, heads, width // heads).copy()
    pair = np.arange(table.shape[-1] // 2)
    cos, sin = np.split(table[:, :, None], 2, -1)
    first, second = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + len(pair))
    a, b = y[..., first], y[..., second]
    y[..., first], y[..., second] = a * cos - b * sin, a * sin + b * cos
    return y.reshape(x.shape)


def shift_right(x):
    """Along dimension 1, zero first."""
    x = np.asarray(x)
    return np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], 1) if x.shape[1] else x


def log_softmax(x, dtype=np.float64):
    """Over the last dimension."""
    x = np.asarray(x, dtype)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def argmax(x):
    """Index of the largest value; the lowest among equals."""
    return np.argmax(x, -1)


def select_token(x, at=None):
    """x[b, at[b], :], or the last token; IndexError for an index outside the sequence."""
    x = np.asarray(x)
    at = np.full(len(x), x.shape[1] - 1) if at is None else np.asarray(at)
    if (at < 0).any() or (at >= x.shape[1]).any():
        raise IndexError("expected an index in [0, %d)" % x.shape[1])
    return x[np.arange(len(x)), at]


def pool(x, kind, mask=None):
    """sentence-transformers' Pooling of x [batch, seq, features] under mask [batch, seq]; 0 where nothing is visible."""
    x = np.asarray(x, np.float64)
    result = np.zeros((len(x), x.shape[2]))
    for b, row in enumerate(x):
        visible = np.arange(len(row)) if mask is None else np.flatnonzero(mask[b])
        if kind == "first":
            visible = np.arange(min(1, len(row)))
        if not len(visible):
            continue
        kept, weight = row[visible], visible[:, None] + 1.0
        result[b] = {"first": lambda: kept[0], "last": lambda: kept[-1], "mean": lambda: kept.mean(0),
                     "max": lambda: kept.max(0), "mean_sqrt": lambda: kept.sum(0) / np.sqrt(len(kept)),
                     "weighted_mean": lambda: (kept * weight).sum(0) / weight.sum()}[kind]()
    return result


POOLS = ("first", "last", "mean", "max", "mean_sqrt", "weighted_mean")


def split_heads(x, heads):
    """[batch, seq, heads*head_dim] -> [batch, heads, seq, head_dim]."""
    x = np.asarray(x)
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


def merge_heads(x):
    """[batch, heads, seq, head_dim] -> [batch, seq, heads*head_dim]."""
    x = np.asarray(x).transpose(0, 2, 1, 3)
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
