"""Mean absolute error."""

import numpy as np

from afm_core.learning.metrics.scored import Floats, Scored, of_sums


def _sums(scored: Scored) -> Floats:
    assert scored.value is not None
    return np.array([np.abs(scored.value.astype(np.float64) - scored.label).sum(), len(scored.label)])


MAE = of_sums("MAE", "value", _sums, lambda sums: float(sums[0] / sums[1]))
