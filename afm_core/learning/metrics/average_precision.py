"""Average precision: precision at each distinct score, weighted by the recall that it adds."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored


def average_precision(scored: Scored) -> float:
    """Sum of (R_n - R_{n-1}) P_n over falling thresholds; NaN without positives. Cost: one sort of the N scores."""
    if not scored.positive.any():
        return float("nan")
    _, group = np.unique(-scored.score.astype(np.float64), return_inverse=True)
    positives = np.bincount(group, weights=scored.positive)
    precision = np.cumsum(positives) / np.cumsum(np.bincount(group))
    return float((precision * positives).sum() / positives.sum())


AVERAGE_PRECISION = Metric("average precision", "order", average_precision)
