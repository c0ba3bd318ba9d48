"""Rows in the order in which a person would see them, list by list."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afm_core.learning.metrics.scored import Scored


class RankedLists(NamedTuple):
    """N rows, list by list, the best score first."""

    number: NDArray[np.int64]
    """(N,), the number of a row's list, from 0."""
    rank: NDArray[np.int64]
    """(N,), from 1."""
    positive: NDArray[np.bool_]
    """(N,)"""
    positives: NDArray[np.int64]
    """Of each list."""


def ranked_lists(scored: Scored) -> RankedLists:
    """Rank each list. Of equal scores negatives come first, so that a model that says nothing gains nothing."""
    assert scored.lists is not None
    _, number = np.unique(scored.lists, return_inverse=True)
    order = np.lexsort((scored.positive, -scored.score.astype(np.float64), number))
    number, positive = number[order].astype(np.int64), scored.positive[order]
    starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    rank = np.arange(len(number)) - starts[number] + 1
    return RankedLists(number, rank, positive, np.bincount(number, weights=positive).astype(np.int64))
