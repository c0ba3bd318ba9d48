"""NDCG@K: discounted gain of a list's first K rows over the best possible one (Järvelin and Kekäläinen 2002)."""

import numpy as np

from afm_core.learning.metrics.ranked_lists import ranked_lists
from afm_core.learning.metrics.scored import Metric, Scored


def ndcg(scored: Scored, k: int) -> float:
    """Mean over the lists that have a positive, with gain 1 for a positive; NaN where no list has one."""
    ranked = ranked_lists(scored)
    if not ranked.positives.any():
        return float("nan")
    discount = 1.0 / np.log2(np.arange(1, k + 1) + 1.0)
    shown = ranked.positive & (ranked.rank <= k)
    gain = np.bincount(ranked.number[shown], weights=discount[ranked.rank[shown] - 1], minlength=len(ranked.positives))
    best = np.append(0.0, np.cumsum(discount))[np.minimum(ranked.positives, k)]
    has_positive = ranked.positives > 0
    return float(np.mean(gain[has_positive] / best[has_positive]))


def ndcg_at(k: int) -> Metric:
    """The metric for one K."""
    return Metric(f"NDCG@{k}", "lists", lambda scored: ndcg(scored, k))
