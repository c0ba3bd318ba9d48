"""Scored rows grouped into lists and ranked within each list."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afm_core.learning.metrics.scored import Scored


class RankedLists(NamedTuple):
    """N rows, list after list, each list by falling score."""

    number: NDArray[np.int64]
    """(N,) the number of a row's list, from 0."""
    rank: NDArray[np.int64]
    """(N,) the rank of a row within its list, from 1."""
    positive: NDArray[np.bool_]
    """(N,) whether a row is positive."""
    positives: NDArray[np.int64]
    """(lists,) the number of positives of each list."""


def ranked_lists(scored: Scored) -> RankedLists:
    """Rank the rows of each list. Among equal scores negatives come first, so that constant scores gain nothing."""
    assert scored.lists is not None
    _, number = np.unique(scored.lists, return_inverse=True)
    order = np.lexsort((scored.positive, -scored.score.astype(np.float64), number))
    number, positive = number[order].astype(np.int64), scored.positive[order]
    starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    rank = np.arange(len(number)) - starts[number] + 1
    return RankedLists(number, rank, positive, np.bincount(number, weights=positive).astype(np.int64))
