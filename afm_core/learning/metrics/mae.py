"""Mean absolute error."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored


def mae(scored: Scored) -> float:
    """Mean of |prediction - label|, on the scale of the labels."""
    assert scored.value is not None
    return float(np.abs(scored.value.astype(np.float64) - scored.label).mean())


MAE = Metric("MAE", "value", mae)
