"""How far a night's logs and scores have moved from those that the model was trained on.

The values of a field fall into at most ten bins of about equal share, the frequent ones first; missing and unseen
values have a share of their own and are left out here. Fields without a count a value in the feature map (hashed,
crossed, a number as x_i) are not compared.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from afm_core.bundle import Bundle
from afm_core.drift import BINS, Shift, shift
from afm_core.features import FeatureMap
from afm_core.settings.training import Drift

SCORE_DRIFT = "score"


@dataclass(frozen=True)
class Bins:
    """The bins of every field of a feature map, numbered through."""

    of_id: NDArray[np.int32]
    """(n_ids,) bin of each id, -1 where it has none."""
    first: dict[str, int]
    """First bin of each field that has any, in order."""
    expected: NDArray[np.int64]
    """(bins,) logs of the training in each."""

    @classmethod
    def of(cls, features: Path) -> "Bins":
        """Of a feature table. Cost: a pass over it."""
        table = pq.read_table(features, columns=["id", "count"]).sort_by("id")
        counts = table["count"].fill_null(0).to_numpy()
        of_id, first, expected = np.full(len(counts), -1, dtype=np.int32), dict[str, int](), list[int]()
        for field in FeatureMap.read(features).fields:
            ids = field.ids(np.arange(field.size)).astype(np.int64)
            ids = ids[counts[ids] > 0]
            if len(ids) < 2:
                continue
            ids = ids[np.argsort(-counts[ids], kind="stable")]
            before = np.cumsum(counts[ids]) - counts[ids]
            bins = np.unique(before * BINS // counts[ids].sum(), return_inverse=True)[1]
            first[field.name] = len(expected)
            of_id[ids] = bins + len(expected)
            expected += np.bincount(bins, weights=counts[ids]).astype(np.int64).tolist()
        return cls(of_id, first, np.array(expected, dtype=np.int64))

    def shifts(self, found: NDArray[np.int64]) -> dict[str, Shift]:
        """By field, of a night's rows in each bin."""
        ends = [*list(self.first.values())[1:], len(self.expected)]
        pairs = zip(self.first.items(), ends, strict=True)
        return {name: shift(self.expected[start:end], found[start:end]) for (name, start), end in pairs}


def score_shift(bundle: Bundle, below: list[int], rows: int) -> Shift | None:
    """Of a night's scores; None where the bundle does not say how they were in training.

    Args:
        below: scores up to each of `score_edges(bundle)`.
    """
    if not below:
        return None
    expected = np.array(bundle.metrics["scores"]["rows"], dtype=np.int64)
    return shift(expected, np.diff([0, *below, rows]).astype(np.int64))


def score_edges(bundle: Bundle) -> list[float]:
    """Between the bins of scores."""
    return list(bundle.metrics.get("scores", {}).get("edges", []))


def beyond(shifts: dict[str, Shift], drift: Drift, limit: float | None) -> dict[str, float]:
    """The index of what has drifted beyond a limit, `drift.ignore` left out."""
    return {
        name: round(found.index, 4)
        for name, found in shifts.items()
        if name not in drift.ignore and found.exceeds(limit)
    }
