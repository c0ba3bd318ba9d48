"""Mean gap between promised and observed share of positives, over bins of P (Naeini et al. 2015)."""

import numpy as np

from afm_core.learning.metrics.scored import Floats, Scored, of_sums

_BINS = 15  # equally wide, weighted by their rows


def _sums(scored: Scored) -> Floats:
    assert scored.probability is not None
    p = np.clip(scored.probability.astype(np.float64), 0.0, 1.0)
    bins = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=p - scored.positive, minlength=_BINS)
    return np.append(gaps, len(p))


CALIBRATION_ERROR = of_sums(
    "expected calibration error", "probability", _sums, lambda sums: float(np.abs(sums[:-1]).sum() / sums[-1])
)
