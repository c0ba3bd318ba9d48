"""Log loss divided by that of always saying the share of positives (He et al. 2014, section 3); below 1 is of use."""

import numpy as np

from afm_core.learning.metrics.log_loss import total_log_loss
from afm_core.learning.metrics.scored import Floats, Scored, of_sums


def _sums(scored: Scored) -> Floats:
    return np.array([total_log_loss(scored), scored.positive.sum(), len(scored.label)])


def _finish(sums: Floats) -> float:
    loss, positives, rows = map(float, sums)
    share = positives / rows
    if not 0.0 < share < 1.0:
        return float("nan")
    return loss / rows / float(-(share * np.log(share) + (1.0 - share) * np.log(1.0 - share)))


NORMALISED_ENTROPY = of_sums("normalised entropy", "probability", _sums, _finish)
