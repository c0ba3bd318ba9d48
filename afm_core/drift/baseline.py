"""The drift baseline of a bundle: how its scores and fields were distributed in the training.

The trainer fits it on the logged rows of the validation split, not on negatives that were drawn; every night is
compared with it. It is stored in the bundle's `metrics.json` under `scores` and `fields`.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

BINS = 10
"""Largest number of bins of a distribution."""
_LISTED_IDS = 1000  # ids of a field whose bins are stored one by one; all others share the last bin


class _Bins(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberBins(_Bins):
    """A histogram of numbers."""

    edges: tuple[float, ...] = ()
    """Largest number of each bin but the last, ascending; without numbers there are no edges."""
    rows: tuple[int, ...] = (0,)
    """Rows in each bin."""

    @classmethod
    def fit(cls, numbers: NDArray[np.float32]) -> Self:
        """At most ten bins of about equal share.

        Args:
            numbers: (N,) scores, or values x_i of one field, of rows that were not trained on.
        """
        if not len(numbers):
            return cls()
        edges = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS, method="lower"))
        edges = edges[edges < numbers.max()]
        bins = cls(edges=tuple(float(edge) for edge in edges), rows=(0,) * (len(edges) + 1))
        return bins.model_copy(update={"rows": tuple(bins.count(numbers).tolist())})

    def count(self, numbers: NDArray[np.float32]) -> NDArray[np.int64]:
        """(bins,) how many of the numbers fall into each bin."""
        bins = np.searchsorted(np.array(self.edges, dtype=np.float64), numbers, side="left")
        return np.bincount(bins, minlength=len(self.edges) + 1)


class IdBins(_Bins):
    """A histogram of ids: the frequent ones have a bin by name, all others share the last one."""

    ids: tuple[int, ...]
    """The most frequent ids."""
    bins: tuple[int, ...]
    """The bin of each of them."""
    rows: tuple[int, ...]
    """Rows in each bin, and last the rows of all ids that are not listed."""

    @classmethod
    def fit(cls, ids: NDArray[np.int64]) -> Self:
        """At most ten bins of about equal share over the 1,000 most frequent ids, and one for the rest.

        Args:
            ids: (N,) ids of one field.
        """
        values, counts = np.unique(ids, return_counts=True)
        listed = np.argsort(-counts, kind="stable")[:_LISTED_IDS]
        bins = equal_share_bins(counts[listed])
        rows = np.bincount(bins, weights=counts[listed]).astype(np.int64) if len(listed) else np.empty(0, np.int64)
        rest = int(counts.sum() - counts[listed].sum())
        return cls(ids=tuple(values[listed].tolist()), bins=tuple(bins.tolist()), rows=(*rows.tolist(), rest))


class DriftBaseline(_Bins):
    """The distributions that nights are compared with."""

    scores: NumberBins = NumberBins()
    """Scores of the logged rows."""
    fields: dict[str, NumberBins | IdBins] = {}
    """By name, the fields whose values the feature table does not count: numeric fields, and those that are derived
    from others."""

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> Self:
        """Read from the content of a bundle's `metrics.json`; what an older bundle lacks is empty."""
        return cls.model_validate({key: metrics[key] for key in cls.model_fields if key in metrics})


def equal_share_bins(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For values by falling count, the bin of each: at most ten of about equal share, numbered from 0."""
    before = np.cumsum(counts) - counts
    bins: NDArray[np.int64] = np.unique(before * BINS // max(1, counts.sum()), return_inverse=True)[1].astype(np.int64)
    return bins
