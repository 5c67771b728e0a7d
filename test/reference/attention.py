"""Attention in all its forms, one query row at a time in spirit: no tiles, no online softmax."""
import math

import numpy as np

from .safetensors import round_to


def visible(batch, heads, queries, keys, causal=False, offset=0, window_left=None, window_right=None, sinks=0,
            key_mask=None, kv_len=None, prefix=None, documents=None, mask_mod=None):
    """Bool [batch, heads, queries, keys]: which key each query sees, before dense masks.

    offset: a number or [batch], may be negative: query q has position i = q + offset. key_mask [batch, keys]: non-zero
    keeps. kv_len [batch]. prefix [batch]: keys before it are visible to all, the others causally, with or without
    `causal`. documents [batch, positions]: a query sees keys of its own. mask_mod(b, h, i, j) -> bool on arrays of
    absolute positions. Windows never hide the first `sinks` keys.
    """
    b = np.arange(batch).reshape(-1, 1, 1, 1)
    h = np.arange(heads).reshape(-1, 1, 1)
    j = np.arange(keys)
    i = np.arange(queries).reshape(-1, 1) + np.reshape(offset, (-1, 1, 1, 1))
    keep = np.ones((batch, heads, queries, keys), bool)
    if prefix is not None:
        keep &= (j <= i) | (j < np.reshape(prefix, (-1, 1, 1, 1)))
    elif causal:
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
    if documents is not None:
        keep &= read(documents, keep, b, i) == read(documents, keep, b, j)
    if mask_mod is not None:
        keep &= np.asarray(mask_mod(b, h, i, j), bool)
    return keep


def read(table, needed, *indices):
    """table[indices]; IndexError when an index of a `needed` element lies outside, as in the compiled code. Others are
    not read, and give the value of a neighbour."""
    table = np.asarray(table)
    for index, size in zip(indices, table.shape):
        if (needed & ((index < 0) | (index >= size))).any():
            raise IndexError("expected indices below %d" % size)
    if not table.size:
        return np.zeros(np.broadcast_shapes(*(np.shape(n) for n in indices)), table.dtype)
    return table[tuple(np.clip(index, 0, size - 1) for index, size in zip(indices, table.shape))]


def pad_keys(mask, keys, value):
    """Dense masks whose last dimension is shorter than the keys are padded; 1 broadcasts instead."""
    short = keys - mask.shape[-1]
    if short <= 0 or mask.shape[-1] == 1:
        return mask
    return np.concatenate([mask, np.full(mask.shape[:-1] + (short,), value, mask.dtype)], -1)


def positions(queries, keys, offset=0, bottom_right=False, kv_len=None):
    """The offset of the first query: a number or [batch]. bottom_right: the last query stands at the last valid key."""
    if bottom_right:
        offset = offset + (keys if kv_len is None else np.asarray(kv_len, np.int64)) - queries
    return offset


def attention(q, k, v, scale=None, soft_cap=None, score_mod=None, bias=None, masked_rows="zero", sink_logits=None,
              alibi=None, relative=None, prob_mod=None, bottom_right=False, results=("out",), dtype=np.float64,
              storage="f32", **masks):
    """prob_mod(softmax(mask(score_mod(soft cap(scale · q·kᵀ)) + biases))) · v

    q [batch, heads, queries, head_dim], k [batch, kv_heads, keys, head_dim], v [batch, kv_heads, keys, head_dim_v].
    Biases: alibi [heads], slope·(j - i); relative [heads, 2R+1], table[h, clamp(j - i, -R, R) + R]; bias float (added)
    or bool (true keeps), rank 2 to 4, broadcast from the right, a short last dimension hides the keys beyond it.
    score_mod(s, b, h, i, j) comes after the soft cap and before them, prob_mod(p, b, h, i, j) after the softmax.
    sink_logits [heads]: one more logit in the denominator. masks: see visible(); offset and bottom_right: positions().
    masked_rows: what a row with nothing visible yields: zero; mean or trax's sum of the values of the kv_len keys.
    results: names out of out, lse, raw, capped, masked, softmax (before prob_mod) and keep, which pairs are visible.
    One name gives the array alone.
    storage: bf16 or f16 rounds after every step, as a naive implementation in that type does.
    """
    def stored(x):
        return x if storage == "f32" else round_to(x, storage).astype(dtype)

    q, k, v = (np.asarray(x, dtype) for x in (q, k, v))
    batch, heads, queries, head_dim = q.shape
    kv_heads, keys = k.shape[1], k.shape[2]
    k, v = (np.repeat(x, heads // kv_heads, 1) for x in (k, v))
    masks["offset"] = positions(queries, keys, masks.get("offset", 0), bottom_right, masks.get("kv_len"))
    b, h, j = np.arange(batch).reshape(-1, 1, 1, 1), np.arange(heads).reshape(-1, 1, 1), np.arange(keys)
    i = np.arange(queries).reshape(-1, 1) + np.reshape(masks["offset"], (-1, 1, 1, 1))
    # Scaled in the working type: the naive implementation in f32 has no float64 in it.
    raw = stored((q @ k.transpose(0, 1, 3, 2)) * dtype(1 / math.sqrt(head_dim) if scale is None else scale))
    capped = raw if soft_cap is None else stored(dtype(soft_cap) * np.tanh(raw / dtype(soft_cap)))
    score = capped
    if score_mod is not None:
        score = stored(np.asarray(score_mod(score, b, h, i, j), dtype))
    if alibi is not None:
        score = stored(score + np.asarray(alibi, dtype).reshape(-1, 1, 1) * (j - i).astype(dtype))
    if relative is not None:
        reach = np.shape(relative)[1] // 2
        score = stored(score + np.asarray(relative, dtype)[h, np.clip(j - i, -reach, reach) + reach])
    keep = visible(batch, heads, queries, keys, **masks)
    if bias is not None:
        bias = np.asarray(bias)
        if bias.dtype == bool:
            keep = keep & pad_keys(bias, keys, False)
        else:
            bias = pad_keys(bias.astype(dtype), keys, -np.inf)
            score = stored(score + bias)
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
    softmax = stored(weight / np.where(total == 0, dtype(1), total))
    probability = softmax
    if prob_mod is not None:
        probability = np.where(keep, stored(np.asarray(prob_mod(softmax, b, h, i, j), dtype)), dtype(0))
    out = weighted_values(probability, v, keep)
    if masked_rows != "zero":
        valid = np.ones((batch, keys), bool)
        if masks.get("kv_len") is not None:
            valid = np.arange(keys) < np.reshape(masks["kv_len"], (-1, 1))
        total_v = weighted_values(valid[:, None, None, :].astype(dtype), v, valid[:, None, None, :])
        if masked_rows == "mean":
            total_v = total_v / np.maximum(valid.sum(-1), 1).reshape(-1, 1, 1, 1).astype(dtype)
        out = np.where(empty, total_v, out)
    every = dict(out=stored(out), lse=lse, raw=raw, capped=capped, masked=masked, softmax=softmax, keep=keep)
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
    merged = out.transpose(0, 2, 1, 3).reshape(out.shape[0], out.shape[2], heads * out.shape[3])
    return merged if isinstance(got, np.ndarray) else (merged,) + got[1:]


def ragged(q, k, v, offsets, heads, kv_heads=None, key_offsets=None, **options):
    """packed() on sequences that lie end to end in a batch of 1: sequence n is rows offsets[n] … offsets[n+1].

    Every sequence is run alone: positions count from its start, and what varies with b (prefix, regions) with n.
    key_offsets where keys have their own. Results as in packed(), with the rows of the sequences in order; lse
    [1, heads, rows].
    """
    key_offsets = offsets if key_offsets is None else key_offsets
    parts = []
    for n in range(len(offsets) - 1):
        own = dict(options, prefix=None if options.get("prefix") is None else options["prefix"][n : n + 1])
        for name, value_first in (("score_mod", True), ("mask_mod", False), ("prob_mod", True)):
            if own.get(name):
                own[name] = of_sequence(own[name], n, value_first)
        rows, keys = slice(offsets[n], offsets[n + 1]), slice(key_offsets[n], key_offsets[n + 1])
        parts.append(packed(q[:, rows], k[:, keys], v[:, keys], heads, kv_heads, **own))
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, 1)
    return tuple(np.concatenate(result, 1 if number == 0 else 2) for number, result in enumerate(zip(*parts)))


def of_sequence(function, n, value_first):
    """A region's function that sees b = n."""
    return (lambda x, b, *rest: function(x, b + n, *rest)) if value_first else lambda b, *rest: function(b + n, *rest)
