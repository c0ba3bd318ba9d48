"""HR@K: the share of lists with a positive that have one among their first K rows."""

import numpy as np

from afm_core.learning.metrics.ranked_lists import ranked_lists
from afm_core.learning.metrics.scored import Metric, Scored


def hit_rate(scored: Scored, k: int) -> float:
    """Mean over the lists that have a positive; NaN where no list has one."""
    ranked = ranked_lists(scored)
    hits = np.bincount(ranked.number, weights=ranked.positive & (ranked.rank <= k)) > 0
    return float(hits[ranked.positives > 0].mean()) if ranked.positives.any() else float("nan")


def hit_rate_at(k: int) -> Metric:
    """The metric for one K."""
    return Metric(f"HR@{k}", "lists", lambda scored: hit_rate(scored, k))
