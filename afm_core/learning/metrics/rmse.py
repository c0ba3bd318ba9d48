"""Root of the mean squared error; the paper's metric."""

import numpy as np

from afm_core.learning.metrics.scored import Floats, Scored, of_sums


def _sums(scored: Scored) -> Floats:
    assert scored.value is not None
    return np.array([np.square(scored.value.astype(np.float64) - scored.label).sum(), len(scored.label)])


RMSE = of_sums("RMSE", "value", _sums, lambda sums: float(np.sqrt(sums[0] / sums[1])))
