"""How far one distribution has moved from another: the population stability index.

PSI = sum over bins of (q - p) ln(q / p), where p is a bin's share in the training and q its share now.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 0.5  # rows added to every bin, so that an empty one has a logarithm


@dataclass(frozen=True)
class Shift:
    """How one field, or the score, differs between a night and the training."""

    index: float
    """PSI."""
    noise: float
    """What chance alone hardly exceeds with this few rows: PSI / (1 / training rows + 1 / night rows) is approximately
    chi-square distributed with bins - 1 degrees of freedom."""

    def exceeds(self, limit: float | None) -> bool:
        """Whether the index is above a limit by more than chance explains."""
        return limit is not None and self.index > limit + self.noise


def population_shift(expected: NDArray[np.int64], observed: NDArray[np.int64]) -> Shift:
    """Compare two histograms over the same bins, (bins,) counts each."""
    p, q = ((counts + _SMOOTHING) / (counts + _SMOOTHING).sum() for counts in (expected, observed))
    freedom = len(expected) - 1
    chance = sum(1.0 / max(1, int(counts.sum())) for counts in (expected, observed))
    return Shift(float(((q - p) * np.log(q / p)).sum()), (freedom + 4.0 * math.sqrt(2.0 * freedom)) * chance)
