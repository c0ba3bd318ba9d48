"""How far a night's logs and scores have moved from those that the model was trained on.

The values of a field fall into at most ten bins of about equal share, the frequent ones first, numbers in order;
missing and unseen values have a share of their own and are left out here. What to expect in a bin is what the feature
table counts, or, of numbers, crossed, count and affinity fields, what the trainer saw in the validation split.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from afm_core.bundle import Bundle
from afm_core.drift.stability_index import Shift, share_bins, shift
from afm_core.features import FeatureMap, FieldIds
from afm_core.settings.score import DriftSettings

SCORE_DRIFT = "score"


@dataclass(frozen=True)
class Bins:
    """The bins of every field of a feature map, numbered through."""

    of_id: NDArray[np.int32]
    """(n_ids,) bin of each id, -1 where it has none."""
    edges: dict[str, NDArray[np.float64]]
    """Of the fields whose bins are by x_i: the greatest number in each bin but the last."""
    first: dict[str, int]
    """First bin of each field that has any, in order."""
    expected: NDArray[np.int64]
    """(bins,) rows of the training in each."""

    @classmethod
    def of(cls, features: Path, profiles: dict[str, dict[str, Any]] | None = None) -> "Bins":
        """Of a feature table, and of the profiles of the fields that it does not count. Cost: a pass over the table."""
        table = pq.read_table(features, columns=["id", "count"]).sort_by("id")
        counts = table["count"].fill_null(0).to_numpy()
        of_id, edges = np.full(len(counts), -1, dtype=np.int32), dict[str, NDArray[np.float64]]()
        first, expected = dict[str, int](), list[int]()
        for field in FeatureMap.read(features).fields:
            profile, start = (profiles or {}).get(field.name) or _counted(field, counts), len(expected)
            rows = profile["rows"]
            if len(rows) < 2:
                continue
            if "edges" in profile:
                edges[field.name] = np.array(profile["edges"], dtype=np.float64)
            else:
                bins = np.array(profile["bins"], dtype=np.int32)
                if len(rows) > bins.max() + 1:  # the last one is for ids that are not listed
                    for piece in field.ranges:
                        of_id[piece.first : piece.first + piece.size] = start + len(rows) - 1
                of_id[np.array(profile["ids"], dtype=np.int64)] = bins + start
            first[field.name] = start
            expected += rows
        return cls(of_id, edges, first, np.array(expected, dtype=np.int64))

    def shifts(self, found: NDArray[np.int64]) -> dict[str, Shift]:
        """By field, of a night's rows in each bin."""
        ends = [*list(self.first.values())[1:], len(self.expected)]
        pairs = zip(self.first.items(), ends, strict=True)
        return {name: shift(self.expected[start:end], found[start:end]) for (name, start), end in pairs}


def _counted(field: FieldIds, counts: NDArray[np.int64]) -> dict[str, Any]:
    """The profile of a field whose values the feature table counts; without bins where it does not."""
    ids = field.ids(np.arange(field.size)).astype(np.int64)
    ids = ids[counts[ids] > 0]
    ids = ids[np.argsort(-counts[ids], kind="stable")]
    bins = share_bins(counts[ids])
    rows = np.bincount(bins, weights=counts[ids]).astype(np.int64)
    return {"ids": ids, "bins": bins, "rows": rows.tolist()}


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


def beyond(shifts: dict[str, Shift], drift: DriftSettings, limit: float | None) -> dict[str, float]:
    """The index of what has drifted beyond a limit, `drift.ignore` left out."""
    return {
        name: round(found.index, 4)
        for name, found in shifts.items()
        if name not in drift.ignore and found.exceeds(limit)
    }
