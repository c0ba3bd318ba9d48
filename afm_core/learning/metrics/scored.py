"""What metrics read, and what a metric is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Need = Literal["value", "probability", "order", "lists"]
"""What a metric needs besides labels: predictions on their scale, probabilities, scores alone, or lists to rank."""


@dataclass(frozen=True)
class Scored:
    """N scored rows."""

    score: Floats
    """(N,) scores; a greater one is more likely positive."""
    label: Floats
    """(N,) labels: -1 or 1, or real numbers."""
    value: Floats | None = None
    """(N,) float64, predictions on the scale of the labels; None for a task without them."""
    probability: Floats | None = None
    """(N,) float64, P(positive); None for a task without probabilities."""
    lists: NDArray[np.int64] | None = None
    """(N,) equal for rows that are ranked against each other, such as those of one user."""

    @property
    def positive(self) -> NDArray[np.bool_]:
        """(N,) whether each label is positive."""
        return self.label > 0

    def has(self, need: Need) -> bool:
        """Whether a metric with this need can be computed."""
        if need == "value":
            return self.value is not None
        binary = bool(np.isin(self.label, (-1.0, 1.0)).all())
        match need:
            case "probability":
                return binary and self.probability is not None
            case "lists":
                return binary and self.lists is not None
            case _:
                return binary


@dataclass(frozen=True)
class Metric:
    """A measure of the quality of scored rows."""

    title: str
    """Its name in tables."""
    need: Need
    of: Callable[[Scored], float]
    """Computes it; NaN where it is undefined for the rows."""
