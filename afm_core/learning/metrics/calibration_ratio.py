"""Expected over observed positives; 1 is calibrated on the whole, above 1 promises too much."""

import numpy as np

from afm_core.learning.metrics.scored import Floats, Scored, of_sums


def _sums(scored: Scored) -> Floats:
    assert scored.probability is not None
    return np.array([scored.probability.astype(np.float64).sum(), scored.positive.sum()])


def _finish(sums: Floats) -> float:
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


CALIBRATION_RATIO = of_sums("calibration ratio", "probability", _sums, _finish)
