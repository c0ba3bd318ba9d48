"""How far one distribution has moved from another: population stability index.

PSI = sum over bins of (q - p) ln(q / p), p the share of a bin then, q its share now.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
_SMOOTHING = 0.5  # of a row in every bin, so that an empty one has a logarithm


@dataclass(frozen=True)
class Shift:
    """How a night differs from the training in one field, or in its scores."""

    index: float
    """PSI."""
    noise: float
    """What chance alone hardly exceeds with so few rows: PSI x rows is about chi-square with bins - 1 degrees."""

    def exceeds(self, limit: float | None) -> bool:
        """Whether it is beyond a limit by more than chance explains."""
        return limit is not None and self.index > limit + self.noise


def shift(expected: NDArray[np.int64], found: NDArray[np.int64]) -> Shift:
    """Compare two counts by bin, (bins,) each."""
    p, q = ((counts + _SMOOTHING) / (counts + _SMOOTHING).sum() for counts in (expected, found))
    freedom, rows = len(expected) - 1, max(1, int(found.sum()))
    return Shift(float(((q - p) * np.log(q / p)).sum()), (freedom + 4.0 * math.sqrt(2.0 * freedom)) / rows)


def score_profile(scores: NDArray[np.float32]) -> dict[str, Any]:
    """Edges between at most ten bins of about equal share, and the rows up to each edge, above the last in the end.

    Args:
        scores: (N,) of rows that were not trained on; without any, there are no edges.
    """
    if not len(scores):
        return {"edges": [], "rows": [0]}
    edges = np.unique(np.quantile(scores, np.arange(1, BINS) / BINS, method="lower"))
    edges = edges[edges < scores.max()]
    rows = np.bincount(np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1)
    return {"edges": [float(edge) for edge in edges], "rows": rows.tolist()}
