"""Drawing items that a group has not seen: exact, by weight, without replacement, without rejection. NumPy only.

All items are laid end to end as intervals whose lengths are their weights. For each group, the intervals of the items
that it has seen are removed and the gaps closed; a uniform integer below the length that remains is then an offset into
an unseen item, drawn by weight. Weights are integers, so there is no rounding and there are no ties. Each further draw
for a row also removes the items drawn before it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]
Bools = NDArray[np.bool_]

_RESOLUTION = 1 << 36
_HARD_ATTEMPTS = 16


def popularity_weights(counts: Int64s, exponent: float) -> Int64s:
    """Integers proportional to count^exponent, to 2^-36 of their sum; at least 1 for every item that occurs."""
    powers = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** exponent, 0.0)
    scaled = np.rint(powers * (_RESOLUTION / max(powers.sum(), 1.0))).astype(np.int64)
    return np.where(counts > 0, np.maximum(scaled, 1), 0)


@dataclass(frozen=True)
class Contexts:
    """How often each item occurs in each context, sorted by context."""

    context: Int64s
    item: Int64s
    count: Int64s

    def draw(self, context: Int64s, draws: UInt64s) -> Int64s:
        """(N,) an item for each row, drawn by its count in the row's context; -1 for a context without items."""
        ends = np.concatenate(([0], np.cumsum(self.count)))
        low, high = np.searchsorted(self.context, context), np.searchsorted(self.context, context, side="right")
        total = ends[high] - ends[low]
        offset = ends[low] + (draws % np.maximum(total, 1).astype(np.uint64)).astype(np.int64)
        position = np.searchsorted(ends, offset, side="right") - 1
        return np.where(total > 0, self.item[np.minimum(position, len(self.item) - 1)], -1)


class Unseen:
    """The items that each of several groups has not seen, as intervals without gaps."""

    def __init__(self, group: Int64s, item: Int64s, weights: Int64s) -> None:
        """Index which group has seen which items.

        Args:
            group: (M,) indices 0 .. G-1.
            item: (M,) in 0 .. len(weights)-1, or negative for an item outside the vocabulary.
            weights: (V,) not negative, one per item.
        """
        self._weights, self._n_items = weights, np.int64(len(weights))
        self._ends = np.concatenate(([0], np.cumsum(weights))).astype(np.int64)
        self._stride = self._ends[-1] + 1  # from the offsets of one group to those of the next
        in_vocabulary = item >= 0
        self._pairs = np.unique(group[in_vocabulary] * self._n_items + item[in_vocabulary])  # distinct (group, item)
        pair_group, pair_item = self._pairs // self._n_items, self._pairs % self._n_items
        self._seen_before = np.concatenate(([0], np.cumsum(weights[pair_item]))).astype(np.int64)  # weight, per pair
        groups = int(group.max(initial=-1)) + 1
        assert groups * int(self._stride) < 2**63, "too many groups in one partition"
        self._first_pair = np.searchsorted(pair_group, np.arange(groups + 1))
        before = self._seen_before[:-1] - self._seen_before[self._first_pair[pair_group]]
        self._offsets = pair_group * self._stride + self._ends[pair_item] - before

    def weight(self, group: Int64s) -> Int64s:
        """Total weight of the items that each group has not seen."""
        first, end = self._first_pair[group], self._first_pair[group + 1]
        total: Int64s = self._ends[-1] - (self._seen_before[end] - self._seen_before[first])
        return total

    def item_at(self, group: Int64s, offset: Int64s) -> Int64s:
        """The unseen item whose interval contains an offset, 0 .. weight(group)-1."""
        passed = np.searchsorted(self._offsets, group * self._stride + offset, side="right")
        full_offset = offset + self._seen_before[passed] - self._seen_before[self._first_pair[group]]
        item: Int64s = np.searchsorted(self._ends, full_offset, side="right") - 1
        return item

    def start(self, group: Int64s, item: Int64s) -> Int64s:
        """The offset at which the interval of an unseen item begins."""
        passed = np.searchsorted(self._pairs, group * self._n_items + item)
        start: Int64s = self._ends[item] - (self._seen_before[passed] - self._seen_before[self._first_pair[group]])
        return start

    def has(self, group: Int64s, item: Int64s) -> Bools:
        """Whether the group can be given the item: it has not seen it, and the item's weight is not 0."""
        pair = group * self._n_items + item
        nearest = np.minimum(np.searchsorted(self._pairs, pair), max(len(self._pairs) - 1, 0))
        seen = self._pairs[nearest] == pair if len(self._pairs) else np.zeros(len(pair), dtype=np.bool_)
        return ~seen & (self._weights[item] > 0)


def draw_unseen(
    unseen: Unseen,
    group: Int64s,
    draws: UInt64s,
    weights: Int64s,
    contexts: Contexts | None = None,
    context: Int64s | None = None,
) -> tuple[Int64s, Bools]:
    """For each row, distinct items that its group has not seen, drawn one after another by weight.

    Cost: one binary search per draw, whatever share of the items a group has seen.

    Args:
        group: (N,) the group of each row.
        draws: (N, n) independent uniform 64-bit integers.
        contexts, context: where given, an item is first drawn by its count in the row's context, and by weight only
            if 16 attempts yield no unseen item.

    Returns:
        items: (N, n) the drawn items.
        is_drawn: (N, n) whether there is an item. A group with fewer than n unseen items gets all of these.
    """
    n_rows, n = draws.shape
    items = np.full((n_rows, n), -1, dtype=np.int64)
    starts = np.full((n_rows, n), np.iinfo(np.int64).max, dtype=np.int64)
    remaining = unseen.weight(group)
    for draw in range(n):
        if contexts is not None and context is not None:
            items[:, draw] = _draw_hard(unseen, group, draws[:, draw], contexts, context, items[:, :draw])
        by_weight = (items[:, draw] < 0) & (remaining > 0)
        offset = (draws[by_weight, draw] % remaining[by_weight].astype(np.uint64)).astype(np.int64)
        offset = _skip_drawn(offset, starts[by_weight, :draw], weights[items[by_weight, :draw]])
        items[by_weight, draw] = unseen.item_at(group[by_weight], offset)
        is_drawn = items[:, draw] >= 0
        starts[is_drawn, draw] = unseen.start(group[is_drawn], items[is_drawn, draw])
        remaining = remaining - np.where(is_drawn, weights[items[:, draw]], 0)
    return items, items >= 0


def _skip_drawn(offset: Int64s, starts: Int64s, widths: Int64s) -> Int64s:
    """The offsets among all unseen items, from offsets among those that were not drawn before.

    Args:
        starts, widths: (N, d) the intervals of the items that were drawn before, in any order.
    """
    order = np.argsort(starts, axis=1, kind="stable")
    starts, widths = np.take_along_axis(starts, order, axis=1), np.take_along_axis(widths, order, axis=1)
    for column in range(starts.shape[1]):
        offset = offset + np.where(starts[:, column] <= offset, widths[:, column], 0)
    return offset


def _draw_hard(
    unseen: Unseen, group: Int64s, draws: UInt64s, contexts: Contexts, context: Int64s, earlier: Int64s
) -> Int64s:
    """(N,) an unseen item of each row's context, -1 where no attempt yields one."""
    drawn = np.full(len(group), -1, dtype=np.int64)
    for attempt in range(_HARD_ATTEMPTS):
        rows = np.flatnonzero(drawn < 0)
        if not len(rows):
            break
        item = contexts.draw(context[rows], _mix(draws[rows] + np.uint64(attempt)))
        is_new = ~(earlier[rows] == item[:, None]).any(axis=1)
        fits = (item >= 0) & unseen.has(group[rows], np.maximum(item, 0)) & is_new
        drawn[rows[fits]] = item[fits]
    return drawn


def _mix(state: UInt64s) -> UInt64s:
    """Another uniform integer for each, by the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    state = (state + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
