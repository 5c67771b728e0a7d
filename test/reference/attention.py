"""Attention in all its forms, one query row at a time in spirit: no tiles, no online softmax."""
import math

import numpy as np


def visible(batch, heads, queries, keys, causal=False, offset=0, window_left=None, window_right=None, sinks=0,
            key_mask=None, kv_len=None, mask_mod=None):
    """Bool [batch, heads, queries, keys]: which key each query sees, before dense masks.

    offset: a number or [batch], may be negative. key_mask [batch, keys]: non-zero keeps. kv_len [batch].
    mask_mod(b, h, i, j) -> bool on arrays of absolute positions.
    """
    b = np.arange(batch).reshape(-1, 1, 1, 1)
    h = np.arange(heads).reshape(-1, 1, 1)
    j = np.arange(keys)
    i = np.arange(queries).reshape(-1, 1) + np.reshape(offset, (-1, 1, 1, 1))
    keep = np.ones((batch, heads, queries, keys), bool)
    if causal:
        keep &= j <= i
    window = np.ones_like(keep)
    if window_left is not None:
        window &= j >= i - window_left
    if window_right is not None:
        window &= j <= i + window_right
    keep &= window | (j < sinks)
    if key_mask is not None:
        keep &= (np.asarray(key_mask) != 0)[:, None, None, :]
    if kv_len is not None:
        keep &= j < np.reshape(kv_len, (-1, 1, 1, 1))
    if mask_mod is not None:
        keep &= mask_mod(b, h, i, j).astype(bool)
    return keep


def pad_keys(mask, keys, value):
    """Dense masks whose last dimension is shorter than the keys are padded; 1 broadcasts instead."""
    short = keys - mask.shape[-1]
    if short <= 0 or mask.shape[-1] == 1:
        return mask
    return np.concatenate([mask, np.full(mask.shape[:-1] + (short,), value, mask.dtype)], -1)


def attention(q, k, v, scale=None, soft_cap=None, score_mod=None, bias=None, masked_rows="zero", sink_logits=None,
              prob_mod=None, results=("out",), dtype=np.float64, **masks):
    """softmax(mask(soft cap(scale · q·kᵀ) + bias)) · v

    q [batch, heads, queries, head_dim], k [batch, kv_heads, keys, head_dim], v [batch, kv_heads, keys, head_dim_v].
    bias: float (added) or bool (true keeps), rank 2 to 4, broadcast from the right; a short last dimension hides
    the keys beyond it. score_mod(s, b, h, i, j) comes after the soft cap and before the bias. sink_logits [heads]:
    one more logit in the denominator. masks: see visible().
    masked_rows: what a row with nothing visible yields: zero; mean or trax's sum of the values of the kv_len keys.
    results: names out of out, lse, raw, capped, masked, softmax. One name gives the array alone.
    """
    q, k, v = (np.asarray(x, dtype) for x in (q, k, v))
    batch, heads, queries, head_dim = q.shape
    kv_heads, keys = k.shape[1], k.shape[2]
    k, v = (np.repeat(x, heads // kv_heads, 1) for x in (k, v))
    # Scaled in the working type: the naive implementation in f32 has no float64 in it.
    raw = (q @ k.transpose(0, 1, 3, 2)) * dtype(1 / math.sqrt(head_dim) if scale is None else scale)
    capped = raw if soft_cap is None else dtype(soft_cap) * np.tanh(raw / dtype(soft_cap))
    score = capped
    if score_mod is not None:
        i = np.arange(queries).reshape(-1, 1) + np.reshape(masks.get("offset", 0), (-1, 1, 1, 1))
        b, h = np.arange(batch).reshape(-1, 1, 1, 1), np.arange(heads).reshape(-1, 1, 1)
        score = np.asarray(score_mod(score, b, h, i, np.arange(keys)), dtype)
    keep = visible(batch, heads, queries, keys, **masks)
    if bias is not None:
        bias = np.asarray(bias)
        if bias.dtype == bool:
            keep = keep & pad_keys(bias, keys, False)
        else:
            bias = pad_keys(bias.astype(dtype), keys, -np.inf)
            score = score + bias
            keep = keep & (bias != -np.inf)  # a key hidden by -inf is hidden: its value cannot leak
    # Selected, never added to: NaN in a hidden score goes away here.
    masked = np.where(keep, score, dtype(-np.inf))
    top = masked.max(-1, keepdims=True, initial=-np.inf)
    if sink_logits is not None:
        sink = np.broadcast_to(np.asarray(sink_logits, dtype).reshape(-1, 1, 1), top.shape)
        top = np.maximum(top, sink)
    top = np.where(np.isneginf(top), dtype(0), top)
    weight = np.where(keep, np.exp(masked - top), dtype(0))
    total = weight.sum(-1, keepdims=True)
    if sink_logits is not None:
        total = total + np.exp(sink - top)
    empty = ~keep.any(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = np.where(empty & (total == 0), -np.inf, np.log(total) + top)[..., 0]
    softmax = weight / np.where(total == 0, dtype(1), total)
    if prob_mod is not None:
        softmax = np.where(keep, prob_mod(softmax), dtype(0))
    out = weighted_values(softmax, v, keep)
    if masked_rows != "zero":
        valid = np.ones((batch, keys), bool)
        if masks.get("kv_len") is not None:
            valid = np.arange(keys) < np.reshape(masks["kv_len"], (-1, 1))
        total_v = weighted_values(valid[:, None, None, :].astype(dtype), v, valid[:, None, None, :])
        if masked_rows == "mean":
            total_v = total_v / np.maximum(valid.sum(-1), 1).reshape(-1, 1, 1, 1).astype(dtype)
        out = np.where(empty, total_v, out)
    every = dict(out=out, lse=lse, raw=raw, capped=capped, masked=masked, softmax=softmax)
    return every[results[0]] if len(results) == 1 else tuple(every[name] for name in results)


def weighted_values(weight, v, keep):
    """weight · v where only pairs with keep count: NaN and Inf in hidden values do not leak."""
    if np.isfinite(v).all():
        return weight @ v
    keep = np.broadcast_to(keep, weight.shape)[..., None]
    pairs = np.where(keep, weight[..., None] * np.where(keep, v[:, :, None], 0), 0)
    return pairs.sum(-2)


def packed(q, k, v, heads, kv_heads=None, **options):
    """attention() on the rank-3 forms [batch, seq, heads*head_dim]; the result is packed too."""
    def split(x, n):
        return np.asarray(x).reshape(*np.shape(x)[:2], n, np.shape(x)[2] // n).transpose(0, 2, 1, 3)

    kv_heads = kv_heads or heads
    got = attention(split(q, heads), split(k, kv_heads), split(v, kv_heads), **options)
    out = got if isinstance(got, np.ndarray) else got[0]
    merged = out.transpose(0, 2, 1, 3).reshape(out.shape[0], out.shape[2], -1)
    return merged if isinstance(got, np.ndarray) else (merged,) + got[1:]
