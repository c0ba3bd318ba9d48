"""Drawing items that a group never saw: exact, by weight, without replacement, without retries. Numpy only.

Items lie side by side on a line, each as long as its weight. What a group has seen is cut out of the line, and what is
left is pushed together; a uniform integer on that is an item that the group has not seen, by weight. Weights are
integers, so there is no rounding and no boundary case. Each further draw of a row cuts out its earlier draws, too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]
Bools = NDArray[np.bool_]

_RESOLUTION = 1 << 36
_HARD_ATTEMPTS = 16


def popularity_weights(counts: Int64s, alpha: float) -> Int64s:
    """Integers proportional to count^alpha to 2^-36 of their sum, at least 1 where an item occurs at all."""
    powers = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** alpha, 0.0)
    scaled = np.rint(powers * (_RESOLUTION / max(powers.sum(), 1.0))).astype(np.int64)
    return np.where(counts > 0, np.maximum(scaled, 1), 0)


@dataclass(frozen=True)
class Contexts:
    """How often each item occurs in each context; sorted by context."""

    context: Int64s
    item: Int64s
    count: Int64s

    def draw(self, context: Int64s, draws: UInt64s) -> Int64s:
        """An item of each row's context by its count there, -1 for a context without items: (N,)."""
        ends = np.concatenate(([0], np.cumsum(self.count)))
        low, high = np.searchsorted(self.context, context), np.searchsorted(self.context, context, side="right")
        total = ends[high] - ends[low]
        at = ends[low] + (draws % np.maximum(total, 1).astype(np.uint64)).astype(np.int64)
        place = np.searchsorted(ends, at, side="right") - 1
        return np.where(total > 0, self.item[np.minimum(place, len(self.item) - 1)], -1)


class Unseen:
    """What each of some groups has not seen."""

    def __init__(self, group: Int64s, item: Int64s, weights: Int64s) -> None:
        """Take in who saw what.

        Args:
            group: (M,) indices 0 .. G-1.
            item: (M,) in 0 .. len(weights)-1, or negative for an item outside the vocabulary.
            weights: (V,) of the items, not negative.
        """
        self._weights, self._n_items = weights, np.int64(len(weights))
        self._ends = np.concatenate(([0], np.cumsum(weights))).astype(np.int64)
        self._line = self._ends[-1] + 1
        inside = item >= 0
        self._pairs = np.unique(group[inside] * self._n_items + item[inside])  # distinct (group, item), sorted
        pair_group, pair_item = self._pairs // self._n_items, self._pairs % self._n_items
        self._cut = np.concatenate(([0], np.cumsum(weights[pair_item]))).astype(np.int64)  # seen weight before a pair
        groups = int(group.max(initial=-1)) + 1
        assert groups * int(self._line) < 2**63, "too many groups in one partition"
        self._first = np.searchsorted(pair_group, np.arange(groups + 1))
        before = self._cut[:-1] - self._cut[self._first[pair_group]]
        self._places = pair_group * self._line + self._ends[pair_item] - before

    def weight(self, group: Int64s) -> Int64s:
        """Total weight of what each group has not seen."""
        left: Int64s = self._ends[-1] - (self._cut[self._first[group + 1]] - self._cut[self._first[group]])
        return left

    def at(self, group: Int64s, place: Int64s) -> Int64s:
        """The item at a place of the group's line, 0 .. weight(group)-1."""
        passed = np.searchsorted(self._places, group * self._line + place, side="right")
        full = place + self._cut[passed] - self._cut[self._first[group]]
        item: Int64s = np.searchsorted(self._ends, full, side="right") - 1
        return item

    def start(self, group: Int64s, item: Int64s) -> Int64s:
        """Where an unseen item begins on the group's line."""
        passed = np.searchsorted(self._pairs, group * self._n_items + item)
        start: Int64s = self._ends[item] - (self._cut[passed] - self._cut[self._first[group]])
        return start

    def has(self, group: Int64s, item: Int64s) -> Bools:
        """Whether the item is on the group's line: neither seen nor of weight 0."""
        pair = group * self._n_items + item
        near = np.minimum(np.searchsorted(self._pairs, pair), max(len(self._pairs) - 1, 0))
        seen = self._pairs[near] == pair if len(self._pairs) else np.zeros(len(pair), dtype=np.bool_)
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

    Cost: a binary search a draw, whatever share of the items a group has seen.

    Args:
        group: (N,) of the rows to draw for.
        draws: (N, n) independent uniform 64-bit integers.
        contexts, context: draw by count in the row's context first; by weight where 16 attempts found nothing unseen.

    Returns:
        items (N, n) and found (N, n). A group with fewer than n unseen items finds only those.
    """
    n_rows, n = draws.shape
    items = np.full((n_rows, n), -1, dtype=np.int64)
    starts = np.full((n_rows, n), np.iinfo(np.int64).max, dtype=np.int64)
    left = unseen.weight(group)
    for draw in range(n):
        if contexts is not None and context is not None:
            items[:, draw] = _draw_hard(unseen, group, draws[:, draw], contexts, context, items[:, :draw])
        open_ = (items[:, draw] < 0) & (left > 0)
        place = (draws[open_, draw] % left[open_].astype(np.uint64)).astype(np.int64)
        order = np.argsort(starts[open_, :draw], axis=1, kind="stable")
        earlier = np.take_along_axis(starts[open_, :draw], order, axis=1)
        widths = weights[np.take_along_axis(items[open_, :draw], order, axis=1)]
        for at in range(draw):
            place += np.where(earlier[:, at] <= place, widths[:, at], 0)
        items[open_, draw] = unseen.at(group[open_], place)
        found = items[:, draw] >= 0
        starts[found, draw] = unseen.start(group[found], items[found, draw])
        left = left - np.where(found, weights[items[:, draw]], 0)
    return items, items >= 0


def _draw_hard(
    unseen: Unseen, group: Int64s, draws: UInt64s, contexts: Contexts, context: Int64s, earlier: Int64s
) -> Int64s:
    """An unseen item of each row's context, or -1."""
    picked = np.full(len(group), -1, dtype=np.int64)
    for attempt in range(_HARD_ATTEMPTS):
        rows = np.flatnonzero(picked < 0)
        if not len(rows):
            break
        item = contexts.draw(context[rows], _mix(draws[rows] + np.uint64(attempt)))
        fits = (
            (item >= 0) & unseen.has(group[rows], np.maximum(item, 0)) & ~(earlier[rows] == item[:, None]).any(axis=1)
        )
        picked[rows[fits]] = item[fits]
    return picked


def _mix(state: UInt64s) -> UInt64s:
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014): another uniform integer for each."""
    state = (state + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
