"""Mean negative log likelihood of the labels, in nats."""

import numpy as np

from afm_core.learning.metrics.scored import Floats, Scored, of_sums

_LEAST_PROBABILITY = 1e-6  # a clipped score of exactly -1 or 1 must not make it infinite


def total_log_loss(scored: Scored) -> float:
    """The sum over the rows, probabilities kept 1e-6 away from 0 and 1."""
    assert scored.probability is not None
    p = np.clip(scored.probability.astype(np.float64), _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    return float(-np.log(np.where(scored.positive, p, 1.0 - p)).sum())


def _sums(scored: Scored) -> Floats:
    return np.array([total_log_loss(scored), len(scored.label)])


LOG_LOSS = of_sums("log loss", "probability", _sums, lambda sums: float(sums[0] / sums[1]))
