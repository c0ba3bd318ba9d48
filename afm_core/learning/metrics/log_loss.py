"""Mean negative log-likelihood of the labels, in nats."""

import numpy as np

from afm_core.learning.metrics.scored import Metric, Scored

_MIN_PROBABILITY = 1e-6  # a clipped score of exactly -1 or 1 must not make the loss infinite


def log_loss(scored: Scored) -> float:
    """Mean of -ln P(label); probabilities are kept 1e-6 away from 0 and 1."""
    assert scored.probability is not None
    p = np.clip(scored.probability.astype(np.float64), _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
    total = float(-np.log(np.where(scored.positive, p, 1.0 - p)).sum())
    return total / len(scored.label) if len(scored.label) else float("nan")


LOG_LOSS = Metric("log loss", "probability", log_loss)
