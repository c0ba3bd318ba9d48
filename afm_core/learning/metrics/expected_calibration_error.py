"""Mean gap between predicted and observed share of positives, over bins of P (Naeini et al. 2015)."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored

_BINS = 15  # of equal width, weighted by their rows


def expected_calibration_error(scored: Scored) -> float:
    """Sum over the bins of |sum of (P - observed)|, divided by the number of rows."""
    assert scored.probability is not None
    p = np.clip(scored.probability.astype(np.float64), 0.0, 1.0)
    bins = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=p - scored.positive, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(p)) if len(p) else float("nan")


CALIBRATION_ERROR = Metric("expected calibration error", "probability", expected_calibration_error)
