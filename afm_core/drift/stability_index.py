"""How far one distribution has moved from another: population stability index.

PSI = sum over bins of (q - p) ln(q / p), p the share of a bin then, q its share now.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
_LISTED = 1000  # ids of a field that a profile knows one by one
_SMOOTHING = 0.5  # of a row in every bin, so that an empty one has a logarithm


@dataclass(frozen=True)
class Shift:
    """How a night differs from the training in one field, or in its scores."""

    index: float
    """PSI."""
    noise: float
    """What chance alone hardly exceeds with so few rows: PSI / (1 / rows then + 1 / rows now) is about chi-square with
    bins - 1 degrees."""

    def exceeds(self, limit: float | None) -> bool:
        """Whether it is beyond a limit by more than chance explains."""
        return limit is not None and self.index > limit + self.noise


def shift(expected: NDArray[np.int64], found: NDArray[np.int64]) -> Shift:
    """Compare two counts by bin, (bins,) each."""
    p, q = ((counts + _SMOOTHING) / (counts + _SMOOTHING).sum() for counts in (expected, found))
    freedom = len(expected) - 1
    chance = sum(1.0 / max(1, int(counts.sum())) for counts in (expected, found))
    return Shift(float(((q - p) * np.log(q / p)).sum()), (freedom + 4.0 * math.sqrt(2.0 * freedom)) * chance)


def number_profile(numbers: NDArray[np.float32]) -> dict[str, Any]:
    """Edges between at most ten bins of about equal share, and the rows up to each edge, above the last in the end.

    Args:
        numbers: (N,) scores of rows that were not trained on, or x_i of a field; without any, there are no edges.
    """
    if not len(numbers):
        return {"edges": [], "rows": [0]}
    edges = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS, method="lower"))
    edges = edges[edges < numbers.max()]
    rows = np.bincount(np.searchsorted(edges, numbers, side="left"), minlength=len(edges) + 1)
    return {"edges": [float(edge) for edge in edges], "rows": rows.tolist()}


def id_profile(ids: NDArray[np.int64]) -> dict[str, Any]:
    """The bin of each of the most frequent ids, the rows of each bin, and last the rows of all other ids.

    Args:
        ids: (N,) of one field.
    """
    values, counts = np.unique(ids, return_counts=True)
    listed = np.argsort(-counts, kind="stable")[:_LISTED]
    bins = share_bins(counts[listed])
    rows = np.bincount(bins, weights=counts[listed]).astype(np.int64) if len(listed) else np.empty(0, dtype=np.int64)
    rest = int(counts.sum() - counts[listed].sum())
    return {"ids": values[listed].tolist(), "bins": bins.tolist(), "rows": [*rows.tolist(), rest]}


def share_bins(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For values by falling count, the bin of each: at most ten of about equal share, numbered from 0."""
    before = np.cumsum(counts) - counts
    bins: NDArray[np.int64] = np.unique(before * BINS // max(1, counts.sum()), return_inverse=True)[1].astype(np.int64)
    return bins
