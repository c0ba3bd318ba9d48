"""AUC within each list, such as the rows of one user, averaged over the lists that have both classes."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored


def list_auc(scored: Scored) -> float:
    """Exact, ties counted half; NaN where no list has both classes. Cost: one sort of the N rows."""
    assert scored.lists is not None
    _, number = np.unique(scored.lists, return_inverse=True)
    order = np.lexsort((scored.score, number))
    number, score, positive = number[order], scored.score[order], scored.positive[order]
    changes = np.append(True, (number[1:] != number[:-1]) | (score[1:] != score[:-1]))
    tie = np.cumsum(changes) - 1
    size = np.bincount(tie)
    mean_position = (np.cumsum(size) - (size - 1) / 2.0)[tie]
    rows = np.bincount(number)
    before = np.cumsum(rows) - rows
    rank = mean_position - before[number]
    n_positive = np.bincount(number, weights=positive)
    n_negative = rows - n_positive
    ranks = np.bincount(number, weights=np.where(positive, rank, 0.0))
    both = (n_positive > 0) & (n_negative > 0)
    if not both.any():
        return float("nan")
    ordered_pairs = ranks[both] - n_positive[both] * (n_positive[both] + 1) / 2.0
    return float(np.mean(ordered_pairs / (n_positive[both] * n_negative[both])))


LIST_AUC = Metric("AUC", "lists", list_auc)
