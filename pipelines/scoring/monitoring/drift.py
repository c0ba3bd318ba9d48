"""Comparing a night's scores with the training's, and deciding which fields have drifted."""

from collections.abc import Mapping

import numpy as np

from afm_core.drift.baseline import NumberBins
from afm_core.drift.stability_index import Shift, population_shift
from afm_core.settings.score import DriftSettings

SCORE_DRIFT = "score"
"""Name of the score among the drift indices, beside the names of the fields."""


def score_shift(baseline: NumberBins, cumulative: list[int], rows: int) -> Shift | None:
    """The shift of a night's scores; None where the baseline has no edges.

    Args:
        cumulative: number of scores up to each edge of the baseline.
        rows: number of all scores.
    """
    if not cumulative:
        return None
    observed = np.diff([0, *cumulative, rows]).astype(np.int64)
    return population_shift(np.array(baseline.rows, dtype=np.int64), observed)


def drifted(shifts: Mapping[str, Shift], settings: DriftSettings, limit: float | None) -> dict[str, float]:
    """The index of everything that is above a limit, without the fields of `score.drift.ignore`."""
    return {
        name: round(shift.index, 4)
        for name, shift in shifts.items()
        if name not in settings.ignore and shift.exceeds(limit)
    }
