"""The bins of every field of a feature map, and a night's rows counted into them.

The values of a field fall into at most ten bins of about equal share, the frequent ones first, numbers in ascending
order. Missing and unseen values are left out; their share is monitored by itself. The expected rows of a bin are what
the feature table counts, or, for fields that it does not count, what the drift baseline of the training says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afm_core.drift.baseline import IdBins, NumberBins, equal_share_bins
from afm_core.drift.stability_index import Shift, population_shift
from afm_core.features import FeatureMap, FieldIds
from afm_core.features.feature_table import read_feature_table


@dataclass(frozen=True)
class NumberField:
    """A field whose bins are by x_i."""

    id_column: int
    """Its column among the id columns of a batch."""
    x_column: int
    """Its column among the columns of x_i."""
    unknown_id: int
    first: int
    """Its first bin."""
    edges: NDArray[np.float64]
    """The largest number of each bin but the last, ascending."""


@dataclass(frozen=True)
class FieldBins:
    """The bins of all fields, numbered consecutively."""

    bin_of_id: NDArray[np.int32]
    """(n_ids,) bin of each id, -1 where it has none."""
    numbers: tuple[NumberField, ...]
    """The fields whose bins are by x_i."""
    first: dict[str, int]
    """First bin of each field that has bins, in the order of the fields."""
    expected: NDArray[np.int64]
    """(bins,) rows of the training in each bin."""

    @classmethod
    def of(cls, features: Path, baseline: Mapping[str, NumberBins | IdBins] | None = None) -> "FieldBins":
        """The bins of a feature table and of the fields that it does not count. Cost: one pass over the table.

        Args:
            baseline: bins by field that replace those of the feature table.
        """
        counts = read_feature_table(features, ["count"])["count"].fill_null(0).to_numpy()
        bin_of_id, numbers = np.full(len(counts), -1, dtype=np.int32), list[NumberField]()
        first, expected = dict[str, int](), list[int]()
        feature_map = FeatureMap.read(features)
        for field in feature_map.fields:
            bins, start = (baseline or {}).get(field.name) or _counted_bins(field, counts), len(expected)
            if len(bins.rows) < 2:
                continue
            if isinstance(bins, NumberBins):
                numbers.append(_number_field(feature_map, field, bins, start))
            else:
                _assign(bin_of_id, field, bins, start)
            first[field.name] = start
            expected += bins.rows
        return cls(bin_of_id, tuple(numbers), first, np.array(expected, dtype=np.int64))

    def count(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> NDArray[np.int64]:
        """(bins,) how many of the rows fall into each bin, given their ids (N, F) and columns of x_i (N, X)."""
        rows = np.bincount(self.bin_of_id[ids.ravel()] + 1, minlength=len(self.expected) + 1)[1:]
        for field in self.numbers:
            numbers = x[ids[:, field.id_column] != field.unknown_id, field.x_column]
            size = len(field.edges) + 1
            bins = np.searchsorted(field.edges, numbers)
            rows[field.first : field.first + size] += np.bincount(bins, minlength=size)
        return rows

    def shifts(self, observed: NDArray[np.int64]) -> dict[str, Shift]:
        """The shift of each field, given a night's rows in each bin, (bins,)."""
        ends = [*list(self.first.values())[1:], len(self.expected)]
        ranges = zip(self.first.items(), ends, strict=True)
        return {name: population_shift(self.expected[start:end], observed[start:end]) for (name, start), end in ranges}


def _number_field(feature_map: FeatureMap, field: FieldIds, bins: NumberBins, first: int) -> NumberField:
    assert field.x_column, f"{field.name} has bins by x_i, but no column of x_i"
    id_column = feature_map.id_columns.index(field.id_columns[0])
    x_column = feature_map.x_columns.index(field.x_column)
    return NumberField(id_column, x_column, field.unknown_id, first, np.array(bins.edges, dtype=np.float64))


def _assign(bin_of_id: NDArray[np.int32], field: FieldIds, bins: IdBins, start: int) -> None:
    """Write the bins of one field's ids, the first of which has number `start`."""
    numbers = np.array(bins.bins, dtype=np.int32)
    if len(bins.rows) > numbers.max() + 1:  # the last bin is for ids that are not listed
        for ids in field.ranges:
            bin_of_id[ids.first : ids.first + ids.size] = start + len(bins.rows) - 1
    bin_of_id[np.array(bins.ids, dtype=np.int64)] = numbers + start


def _counted_bins(field: FieldIds, counts: NDArray[np.int64]) -> IdBins:
    """Bins from the feature table's counts; fewer than two where it does not count the field's values."""
    ids = field.ids(np.arange(field.size)).astype(np.int64)
    ids = ids[counts[ids] > 0]
    ids = ids[np.argsort(-counts[ids], kind="stable")]
    bins = equal_share_bins(counts[ids])
    rows = np.bincount(bins, weights=counts[ids]).astype(np.int64)
    return IdBins(ids=tuple(ids.tolist()), bins=tuple(bins.tolist()), rows=tuple(rows.tolist()))
