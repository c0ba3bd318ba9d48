"""Area under the ROC curve, exact: the share of (positive, negative) pairs in the right order, ties counted half."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored


def auc(scored: Scored) -> float:
    """The Mann-Whitney statistic; NaN with one class only. Cost: one sort of the N scores."""
    positive = scored.positive
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, group, size = np.unique(scored.score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(size) - (size - 1) / 2.0
    rank_sum = float(mean_rank[group][positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


AUC = Metric("AUC", "order", auc)
