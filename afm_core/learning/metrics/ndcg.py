"""NDCG@K: discounted gain of the first K of each list over the best that it could be (Järvelin, Kekäläinen 2002)."""

import numpy as np

from afm_core.learning.metrics.ranked_lists import ranked_lists
from afm_core.learning.metrics.scored import Metric, Scored


def ndcg(scored: Scored, k: int) -> float:
    """Mean over the lists that have a positive, gain 1 for a positive; NaN without one."""
    ranked = ranked_lists(scored)
    if not ranked.positives.any():
        return float("nan")
    discount = 1.0 / np.log2(np.arange(1, k + 1) + 1.0)
    shown = ranked.positive & (ranked.rank <= k)
    gain = np.bincount(ranked.number[shown], weights=discount[ranked.rank[shown] - 1], minlength=len(ranked.positives))
    best = np.append(0.0, np.cumsum(discount))[np.minimum(ranked.positives, k)]
    some = ranked.positives > 0
    return float(np.mean(gain[some] / best[some]))


def ndcg_at(k: int) -> Metric:
    """The metric for one K."""
    return Metric(f"NDCG@{k}", "lists", lambda scored: ndcg(scored, k))
