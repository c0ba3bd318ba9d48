"""Root mean squared error: the paper's metric (Xiao et al. 2017, section 4.1)."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored


def rmse(scored: Scored) -> float:
    """sqrt(mean of (prediction - label)^2), on the scale of the labels."""
    assert scored.value is not None
    return float(np.sqrt(np.square(scored.value.astype(np.float64) - scored.label).mean()))


RMSE = Metric("RMSE", "value", rmse)
