"""Drawing items that a user never used: exact, uniform, without rejection. Numpy only."""

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]


def draw_unseen(
    group: Int64s, item: Int32s, draws: NDArray[np.uint64], n_items: int
) -> tuple[Int32s, NDArray[np.bool_]]:
    """For each row, distinct items that no row of the same group holds, each set of them equally likely.

    The unseen items of a group are ranked; ranks are drawn without replacement by Floyd's algorithm, and a rank r
    becomes an item by adding the seen items below it: those s_j (the j-th smallest seen one) with s_j - j <= r.
    That is one sort of the N rows and a binary search a draw, whatever share of the items a group has seen.

    Args:
        group: (N,) any integers; every row of a group must be present.
        item: (N,) in 0 .. n_items-1, or negative for an item outside the vocabulary.
        draws: (N, n) independent uniform 64-bit integers.
        n_items: size of the vocabulary.

    Returns:
        items (N, n) int32 and found (N, n) bool. A group with fewer than n unseen items finds only those.
    """
    n_rows, n = draws.shape
    groups, row_group = np.unique(group, return_inverse=True)
    inside = item >= 0
    pairs = np.unique(row_group[inside] * np.int64(n_items) + item[inside])  # distinct (group, item), sorted
    pair_group, pair_item = pairs // n_items, pairs % n_items
    seen = np.bincount(pair_group, minlength=len(groups))
    start = np.concatenate(([0], np.cumsum(seen)[:-1])).astype(np.int64)
    gap_keys = pair_group * np.int64(n_items + 1) + pair_item - (np.arange(len(pairs)) - start[pair_group])

    unseen = n_items - seen[row_group]
    wanted = np.minimum(n, unseen)
    ranks = np.full((n_rows, n), -1, dtype=np.int64)
    for draw in range(n):
        top = np.maximum(unseen - wanted + draw, 0)
        rank = (draws[:, draw] % (top + 1).astype(np.uint64)).astype(np.int64)
        taken = (ranks[:, :draw] == rank[:, None]).any(axis=1)
        ranks[:, draw] = np.where(draw < wanted, np.where(taken, top, rank), -1)

    found = ranks >= 0
    queries = row_group[:, None] * np.int64(n_items + 1) + ranks
    below = np.searchsorted(gap_keys, queries, side="right") - start[row_group][:, None]
    return np.where(found, ranks + below, -1).astype(np.int32), found
