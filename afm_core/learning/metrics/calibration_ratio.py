"""Expected over observed positives: 1 is calibrated on average, above 1 is overconfident."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored


def calibration_ratio(scored: Scored) -> float:
    """Sum of P(positive) over the number of positives; NaN without positives."""
    assert scored.probability is not None
    positives = scored.positive.sum()
    return float(scored.probability.astype(np.float64).sum() / positives) if positives else float("nan")


CALIBRATION_RATIO = Metric("calibration ratio", "probability", calibration_ratio)
