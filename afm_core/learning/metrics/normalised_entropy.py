"""Log loss relative to always predicting the share of positives (He et al. 2014, section 3)."""

import numpy as np

from afm_core.learning.metrics.log_loss import log_loss
from afm_core.learning.metrics.scored import Metric, Scored


def normalised_entropy(scored: Scored) -> float:
    """Below 1, the model is better than that constant; NaN with one class only."""
    rows = len(scored.label)
    share = float(scored.positive.sum()) / rows if rows else 0.0
    if not 0.0 < share < 1.0:
        return float("nan")
    return log_loss(scored) / float(-(share * np.log(share) + (1.0 - share) * np.log(1.0 - share)))


NORMALISED_ENTROPY = Metric("normalised entropy", "probability", normalised_entropy)
