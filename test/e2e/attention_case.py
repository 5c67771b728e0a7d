"""One attn.attention entry and its oracle; shared by the attention tests."""
import numpy as np

from harness import number, tensor, tolerance
from reference import attention as oracle


class Case:
    """An entry of `module` with packed rank-3 operands, or rank 4.

    options: scale, causal, offset, window_left, window_right, sinks, soft_cap, masked_rows as in the reference.
    operands: any of key_mask, kv_len, bias ("f32" or "i1", of shape bias_shape).
    """

    def __init__(self, module, heads, head_dim, kv_heads=None, head_dim_v=None, rank=3, cross=False, lse=False,
                 operands=(), bias_shape=("batch", "heads", "seq", "keys"), bias="f32", mask_type="i64", **options):
        self.heads, self.kv_heads = heads, kv_heads or heads
        self.head_dim, self.head_dim_v = head_dim, head_dim_v or head_dim
        self.rank, self.cross, self.lse, self.options, self.operands = rank, cross, lse, options, operands
        self.bias, self.bias_shape, self.mask_type = bias, bias_shape, mask_type
        self.name = "f%d" % len(module.functions)
        keys = "keys" if cross else "seq"
        q = self.type("seq", self.heads, self.head_dim)
        k, v = self.type(keys, self.kv_heads, self.head_dim), self.type(keys, self.kv_heads, self.head_dim_v)
        out = self.type("seq", self.heads, self.head_dim_v)
        arguments = [("query", q, ["batch", "seq"]), ("key", k, ["batch", keys]), ("value", v, ["batch", keys])]
        body, types = "attn.attention %query, %key, %value", [q, k, v]
        if "bias" in operands:
            dims = [d if d in ("batch", "seq") else keys for d in bias_shape if d in ("batch", "seq", "keys")]
            kind = tensor([{"batch": "?", "seq": "?", "keys": "?", "heads": heads}.get(d, d) for d in bias_shape], bias)
            arguments.append(("bias", kind, dims))
            body, types = body + " bias %bias", types + [kind]
        if "key_mask" in operands:
            arguments.append(("key_mask", tensor("??", mask_type), ["batch", keys], True))
            body, types = body + " key_mask %key_mask", types + [tensor("??", mask_type)]
        if "kv_len" in operands:
            arguments.append(("kv_len", tensor("?", "i32"), ["batch"]))
            body, types = body + " kv_len %kv_len", types + [tensor("?", "i32")]
        notes = []
        if rank == 3:
            notes.append("num_heads = %d : i64" % heads)
            if self.kv_heads != heads:
                notes.append("num_kv_heads = %d : i64" % self.kv_heads)
        for name, value in options.items():
            if name == "causal":
                notes += ["causal"] * value
            elif name == "masked_rows":
                notes.append("masked_rows = #attn<masked_rows %s>" % value)
            elif name in ("scale", "soft_cap"):
                notes.append("%s = %s" % (name, number(value)))
            else:
                notes.append("%s = %d : i64" % ({"offset": "causal_offset"}.get(name, name), value))
        results = [("out", out, "%y")]
        if lse:
            results = [("out", out, "%y#0"), ("lse", tensor(("?", heads, "?")), "%y#1")]
        body = "%s = %s {%s} : (%s) -> %s" % ("%y:2" if lse else "%y", body, ", ".join(notes), ", ".join(types),
                                              out if not lse else "(%s)" % ", ".join(t for _, t, _ in results))
        bounds = {"keys": (0, 4096)} if cross else None
        module.entry(self.name, arguments, results, body, bounds)
        words = ["%s=%s" % (n, v) if v is not True else n for n, v in options.items()] + list(operands) + ["lse"] * lse
        self.label = "H%d%s D%d%s rank %d %s" % (heads, "/%d" % self.kv_heads if self.kv_heads != heads else "", head_dim,
                                               "/%d" % self.head_dim_v if self.head_dim_v != head_dim else "", rank, " ".join(words))

    def type(self, seq, heads, dim):
        return tensor(("?", "?", heads * dim)) if self.rank == 3 else tensor(("?", heads, "?", dim))

    def inputs(self, random, batch, queries, keys):
        """Random operands; masks have holes, and where there are several rows one of them sees nothing."""
        def features(seq, heads, dim):
            shape = (batch, seq, heads * dim) if self.rank == 3 else (batch, heads, seq, dim)
            return random.standard_normal(shape).astype(np.float32)

        given = {"query": features(queries, self.heads, self.head_dim), "key": features(keys, self.kv_heads, self.head_dim),
                 "value": features(keys, self.kv_heads, self.head_dim_v)}
        if "key_mask" in self.operands:
            mask = random.integers(0, 4, (batch, keys)).astype({"i64": np.int64, "i32": np.int32}[self.mask_type])
            mask[-1] *= batch == 1
            given["key_mask"] = mask
        if "kv_len" in self.operands:
            given["kv_len"] = random.integers(0, keys + 1, batch).astype(np.int32)
        if "bias" in self.operands:
            sizes = {"batch": batch, "seq": queries, "keys": keys, "heads": self.heads}
            shape = [sizes.get(d, d) for d in self.bias_shape]
            given["bias"] = (random.integers(0, 3, shape) > 0 if self.bias == "i1" else
                             random.standard_normal(shape).astype(np.float32))
        return given

    def expected(self, given, dtype=np.float64):
        """{"out": ..., "lse": ...} by the oracle."""
        extra = {n: given.get(n) for n in self.operands}
        options = dict(self.options, **extra, dtype=dtype, results=("out", "lse"))
        q, k, v = given["query"], given["key"], given["value"]
        if self.rank == 3:
            out, lse = oracle.packed(q, k, v, self.heads, self.kv_heads, **options)
        else:
            out, lse = oracle.attention(q, k, v, **options)
        return {"out": out, "lse": lse}

    def check(self, report, model, given, label=""):
        """Runs and compares with the oracle; returns the results."""
        seq = 1 if self.rank == 3 else 2
        keys = given["key"].shape[seq]
        label = "%s %s B%d Q%d K%d%s" % (model.variant, self.label, len(given["query"]), given["query"].shape[seq], keys, label)
        got = model.run(self.name, given)
        expected, naive = self.expected(given), self.expected(given, np.float32)
        report.close(label + " out", got["out"], expected["out"], tolerance(keys), naive["out"], floor=0.02)
        if self.lse:  # a logarithm: its error is absolute
            report.close(label + " lse", got["lse"], expected["lse"], tolerance(keys), floor=1.0)
        return got
