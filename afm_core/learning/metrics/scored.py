"""What metrics read, and what a metric is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Need = Literal["value", "probability", "order", "lists"]


@dataclass(frozen=True)
class Scored:
    """N scored rows."""

    score: Floats
    """(N,), greater is more likely positive."""
    label: Floats
    """(N,), -1 or 1, or real numbers."""
    value: Floats | None = None
    """(N,) float64, predictions on the scale of the labels; None for a task without any."""
    probability: Floats | None = None
    """(N,) float64, P(positive); None for a task without any."""
    lists: NDArray[np.int64] | None = None
    """(N,), equal for rows that are ranked against each other, such as those of a user."""

    @property
    def positive(self) -> NDArray[np.bool_]:
        """(N,), which labels are positive."""
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
    """A number that says how good scored rows are."""

    title: str
    """In tables."""
    need: Need
    of: Callable[[Scored], float]
    """The number; NaN where the rows do not define it."""


@dataclass(frozen=True)
class SumMetric(Metric):
    """A metric of sums over the rows: those of several ranks, added up, give the metric of all their rows."""

    sums: Callable[[Scored], Floats] = lambda _: np.zeros(0)
    """A float64 array of fixed length."""
    of_sums: Callable[[Floats], float] = lambda _: float("nan")


def of_sums(title: str, need: Need, sums: Callable[[Scored], Floats], finish: Callable[[Floats], float]) -> SumMetric:
    """A metric from its sums and what is made of them."""
    return SumMetric(title, need, lambda scored: float(finish(sums(scored))), sums=sums, of_sums=finish)
