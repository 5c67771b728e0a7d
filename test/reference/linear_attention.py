"""Linear attention (ONNX LinearAttention-27), one token at a time."""
import math

import numpy as np

RULES = ("linear", "gated", "delta", "gated_delta")


def linear_attention(rule, q, k, v, heads, kv_heads=None, decay=None, beta=None, state=None, scale=None, dtype=np.float64):
    """Returns out [batch, seq, heads*head_dim_v] and the state after the last token.

    q [batch, seq, heads*head_dim], k [batch, seq, kv_heads*head_dim], v [batch, seq, kv_heads*head_dim_v].
    decay: logarithms, [batch, seq, kv_heads*head_dim] or [batch, seq, kv_heads]; for the gated rules.
    beta [batch, seq, kv_heads] or [batch, seq, 1]; for the delta rules.
    state [batch, kv_heads, head_dim, head_dim_v], zero if None. Query head h reads the state of kv head h / (heads/kv_heads).
    """
    kv_heads = kv_heads or heads
    gated, delta = rule in ("gated", "gated_delta"), rule in ("delta", "gated_delta")
    assert rule in RULES and gated == (decay is not None) and delta == (beta is not None)

    batch, seq = np.shape(q)[:2]
    head_dim, head_dim_v = np.shape(k)[2] // kv_heads, np.shape(v)[2] // kv_heads
    q, k, v = (np.asarray(x, dtype).reshape(batch, seq, n, d)
               for x, n, d in ((q, heads, head_dim), (k, kv_heads, head_dim), (v, kv_heads, head_dim_v)))
    if gated:  # [batch, seq, kv_heads, head_dim or 1]
        decay = np.asarray(decay, dtype)
        decay = decay.reshape(batch, seq, kv_heads, decay.shape[2] // kv_heads)
    if delta:  # [batch, seq, kv_heads or 1, 1]
        beta = np.asarray(beta, dtype)[..., None]
    scale = dtype(1 / math.sqrt(head_dim) if scale is None else scale)
    s = np.zeros((batch, kv_heads, head_dim, head_dim_v), dtype) if state is None else np.array(state, dtype)
    out = np.empty((batch, seq, heads, head_dim_v), dtype)
    for t in range(seq):
        if gated:
            s = np.exp(decay[:, t])[..., None] * s
        write = v[:, t]
        if delta:
            write = beta[:, t] * (write - np.einsum("bhkv,bhk->bhv", s, k[:, t]))
        s = s + k[:, t][..., :, None] * write[..., None, :]
        out[:, t] = scale * np.einsum("bhkv,bhk->bhv", np.repeat(s, heads // kv_heads, 1), q[:, t])
    return out.reshape(batch, seq, heads * head_dim_v), s
