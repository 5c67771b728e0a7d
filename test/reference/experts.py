"""Mixture of experts in numpy, one token and one expert at a time: the oracle of attn.route, attn.expert_linear and
attn.combine_experts. Formulas: docs/dialect.md."""
import numpy as np


def route(logits, top_k):
    """logits [..., experts] -> weights [..., top_k] float64, experts [..., top_k] int64."""
    order = np.argsort(-np.asarray(logits, np.float64), axis=-1, kind="stable")[..., :top_k]
    chosen = np.take_along_axis(np.asarray(logits, np.float64), order, axis=-1)
    exponentials = np.exp(chosen - chosen[..., :1])
    return exponentials / exponentials.sum(axis=-1, keepdims=True), order.astype(np.int64)


def expert_linear(x, weight, experts, bias=None, transposed=False, dtype=np.float64):
    """x [..., K] or [..., top_k, K], weight [experts, K, N] ([experts, N, K] if transposed), experts [..., top_k]
    -> [..., top_k, N]."""
    x, weight = np.asarray(x, dtype), np.asarray(weight, dtype)
    if transposed:
        weight = weight.swapaxes(1, 2)
    out = np.zeros(experts.shape + weight.shape[2:], dtype)
    for at in np.ndindex(experts.shape):
        row = x[at] if x.ndim > experts.ndim else x[at[:-1]]
        out[at] = row @ weight[experts[at]]
        if bias is not None:
            out[at] += np.asarray(bias, dtype)[experts[at]]
    return out


def combine_experts(y, weights, residual=None, dtype=np.float64):
    """y [..., top_k, N], weights [..., top_k], residual [..., N] -> [..., N]."""
    out = np.zeros(y.shape[:-2] + y.shape[-1:], dtype)
    for c in range(y.shape[-2]):
        out += np.asarray(weights, dtype)[..., c, None] * np.asarray(y, dtype)[..., c, :]
    return out if residual is None else out + np.asarray(residual, dtype)
