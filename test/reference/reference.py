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


def activation(x, kind, dtype=np.float64):
    """Elementwise; `kind` is a name of the dialect's enum."""
    return ACTIVATIONS[kind](np.asarray(x, dtype)).astype(dtype)


# ---- Norms and products -----------------------------------------------------------------------------------


def layer_norm(x, gamma, beta=None, epsilon=1e-5, dtype=np.float64):
    """Over the last dimension, with the biased variance."""
    x = np.asarray(x, dtype)
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    y = (x - mean) / np.sqrt(variance + dtype(epsilon)) * np.asarray(gamma, dtype)
    return y if beta is None else y + np.asarray(beta, dtype)


def rms_norm(x, gamma, beta=None, epsilon=1e-5, dtype=np.float64):
    """Over the last dimension."""
    x = np.asarray(x, dtype)
    y = x / np.sqrt((x * x).mean(-1, keepdims=True) + dtype(epsilon)) * np.asarray(gamma, dtype)
    return y if beta is None else y + np.asarray(beta, dtype)


def linear(x, weight, bias=None, act="none", residual=None, norm="none", gamma=None, beta=None, epsilon=1e-5,
           transpose_weight=False, dtype=np.float64):
    """act(norm(x) · weight + bias) + residual; weight [K, N], or [N, K] with transpose_weight."""
    x = np.asarray(x, dtype)
    if norm != "none":
        x = {"layer": layer_norm, "rms": rms_norm}[norm](x, gamma, beta, epsilon, dtype)
    weight = np.asarray(weight, dtype)
    y = x @ (weight.T if transpose_weight else weight)
    if bias is not None:
        y = y + np.asarray(bias, dtype)
    y = activation(y, act, dtype)
    return y if residual is None else y + np.asarray(residual, dtype)


# ---- Tokens -----------------------------------------------------------------------------------------------


def embedding(ids, table, residual=None):
    """table[ids] (+ residual); IndexError for an id outside 0 <= id < entries."""
    ids, table = np.asarray(ids), np.asarray(table, np.float64)
    if ids.size and (ids.min() < 0 or ids.max() >= len(table)):
        raise IndexError("expected ids in [0, %d)" % len(table))
    return table[ids] + (0 if residual is None else residual)


def positions(ids, given=None, past=0):
    """`given`, or past[b] + s; past is a number or [batch]."""
    if given is not None:
        return np.asarray(given)
    batch, seq = np.shape(ids)
    return np.broadcast_to(np.reshape(past, (-1, 1)), (batch, 1)) + np.arange(seq)


def positional_encoding(position, width):
    """Sinusoids: [..., 2i] = sin(p / 10000^(2i/width)), [..., 2i+1] = cos of the same."""
    index = np.arange(width)
    angle = np.asarray(position, np.float64)[..., None] / 10000.0 ** (2 * (index // 2) / width)
    return np.where(index % 2 == 0, np.sin(angle), np.cos(angle))


def rotary(x, position, heads, theta=10000.0, rotary_dim=None, interleaved=False):
    """Rotates pairs (i, i + rotary_dim/2), or (2i, 2i+1), of each head of x [batch, seq, heads*head_dim]."""
    x = np.asarray(x, np.float64)
    batch, seq, width = x.shape
    y = x.reshape(batch, seq, heads, width // heads).copy()
    rotary_dim = width // heads if rotary_dim is None else rotary_dim
    pair = np.arange(rotary_dim // 2)
    angle = np.asarray(position, np.float64)[:, :, None, None] * theta ** (-2.0 * pair / rotary_dim)
    first, second = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + rotary_dim // 2)
    a, b = y[..., first], y[..., second]
    y[..., first], y[..., second] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
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


def split_heads(x, heads):
    """[batch, seq, heads*head_dim] -> [batch, heads, seq, head_dim]."""
    x = np.asarray(x)
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


def merge_heads(x):
    """[batch, heads, seq, head_dim] -> [batch, seq, heads*head_dim]."""
    x = np.asarray(x).transpose(0, 2, 1, 3)
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
