"""A Case over a cache and what its slots hold; shared by the attention tests."""
import numpy as np

from attention_case import key_masks
from harness import State
from reference import attention as oracle
from reference.safetensors import round_to


class Cached:
    """A Case over a cache: what every slot holds is kept here too. pool: pages in any order, as a server maps them."""

    def __init__(self, random, model, case, slots, capacity, page=0, pool=False):
        self.random, self.model, self.case = random, model, case
        self.rows = [None] * slots
        if not pool:
            self.state = State(model, slots, capacity, page)
            return
        page = page or 64
        each = -(-capacity // page)
        self.state = State(model, slots, capacity, page, slots * each + 1)
        numbers = [int(n) for n in np.random.default_rng(each).permutation(slots * each + 1)]  # not from `random`: the same tokens
        for slot in range(slots):
            self.state.map(slot, numbers[slot * each : (slot + 1) * each], 0)

    def shared(self, batch, positions):
        """Operands that hold for all runs: captured tensors, biases by distance, masks of positions."""
        given = self.case.position_inputs(self.random, batch, positions, positions + max(self.case.options.get("offset", 0), 0))
        if "kv_len" in self.case.operands:
            given["kv_len"] = np.zeros(batch)
        if "key_mask" in given:
            given["key_mask"] = key_masks(self.random, batch, positions)
        return self.case.typed(given)

    def step(self, shared, seq, slots):
        """Appends seq random tokens per slot and attends; (what was given, results)."""
        case = self.case
        given = case.typed(case.tokens(self.random, len(slots), seq, seq))
        for row, slot in enumerate(slots):
            new = [round_to(given[n][row], case.cache) for n in ("key", "value")]
            self.rows[slot] = new if self.rows[slot] is None else [np.concatenate(pair) for pair in zip(self.rows[slot], new)]
        lengths = [len(self.rows[slot][0]) for slot in slots]
        given.update(shared)
        if "kv_len" in shared:
            given["kv_len"] = np.array(lengths, given["kv_len"].dtype) - self.random.integers(0, 2, len(slots)).astype(given["kv_len"].dtype)
        if "key_mask" in shared:  # as long as the longest sequence
            given["key_mask"] = given["key_mask"][:, : max(lengths)]
        return given, case.run(self.model, given, self.state, slots)

    def expected(self, given, slots, dtype=np.float64):
        """The oracle row by row: each has its own number of keys, and stands behind its own past."""
        case, results = self.case, []
        for row, slot in enumerate(slots):
            keys, values = self.rows[slot]
            own = {n: a[row : row + 1] if n in given and case.per_row(n) else a for n, a in given.items()}
            own["query"], own["key"], own["value"] = given["query"][row : row + 1], keys[None], values[None]
            if "key_mask" in own:
                own["key_mask"] = own["key_mask"][:, : len(keys)]
            options = case.oracle_options(own)
            options["offset"] = options.get("offset", 0) + len(keys) - given["query"].shape[1]
            for name, value_first in (("score_mod", True), ("mask_mod", False), ("prob_mod", True)):
                if name in options and any(r.names_batch and not r.captures for r in case.regions):
                    options[name] = oracle.of_sequence(options[name], row, value_first)
            results.append(oracle.packed(own["query"], own["key"], own["value"], case.heads, case.kv_heads, dtype=dtype,
                                         results=("out", "lse"), **options))
        return {name: np.concatenate(parts) for name, parts in zip(("out", "lse"), zip(*results))}

    def fill(self, lengths):
        """Slot n holds lengths[n] tokens, appended in runs of their own."""
        for slot, length in enumerate(lengths):
            if length:
                self.step(self.shared(1, length), length, [slot])

    def check(self, report, shared, seq, slots, label):
        given, got = self.step(shared, seq, slots)
        expected, naive = self.expected(given, slots), self.expected(given, slots, np.float32)
        most = max(len(self.rows[slot][0]) for slot in slots)
        self.case.compare(
            report, "%s %s %s, %d new, %d keys" % (self.model.variant, self.case.label, label, seq, most), got, expected, naive, most)
        return given, got
