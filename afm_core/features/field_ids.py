"""The ids of one field of a feature map, and what its values are encoded with.

The fingerprint of a feature map covers the `repr` of these classes: renaming a class or an attribute, or changing their
order, makes every existing dataset and bundle look like one of another feature map.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afm_core.features.field_or_name import FieldOrName


@dataclass(frozen=True)
class Scaling:
    """The fitted scaling of a numeric field: x_i = (number - mean) / deviation, or the bucket between two edges."""

    mean: float = 0.0
    deviation: float = 1.0
    edges: tuple[float, ...] = ()
    """Bucket i holds the numbers from edges[i-1] (included) to edges[i] (excluded)."""


@dataclass(frozen=True)
class IdRange:
    """`size` consecutive ids, the first of which is `first`."""

    first: int
    size: int


@dataclass(frozen=True)
class FieldIds:
    """One field of a feature map: its ids, its columns, and what its values are encoded with."""

    declared: FieldOrName
    unknown_id: int
    ranges: tuple[IdRange, ...]
    """The ids of its features; feature number 0 has the first id of the first range."""
    scaling: Scaling | None = None

    @property
    def name(self) -> str:
        """The field's name."""
        return self.declared.name

    @property
    def size(self) -> int:
        """Number of features, not counting the unknown id."""
        return sum(id_range.size for id_range in self.ranges)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """Its columns of ids in a dataset: one with the field's name, or several numbered ones for tags."""
        width = self.declared.width
        return (self.name,) if width == 1 else tuple(f"{self.name}_{number}" for number in range(1, width + 1))

    @property
    def x_column(self) -> str | None:
        """Its column of x_i in a dataset; None if x_i is always 1."""
        return f"{self.name}_x" if self.declared.carries_x else None

    def ids(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ids of features given by number, 0 .. size-1."""
        starts, offsets = self._starts()
        range_index = np.searchsorted(starts, numbers, side="right") - 1
        ids: NDArray[np.int32] = (numbers + offsets[range_index]).astype(np.int32)
        return ids

    def numbers(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The numbers of features given by id; -1 for an id that is not one of this field's features."""
        numbers = np.full(ids.shape, -1, dtype=np.int64)
        start = 0
        for id_range in self.ranges:
            inside = (ids >= id_range.first) & (ids < id_range.first + id_range.size)
            numbers[inside] = ids[inside] - id_range.first + start
            start += id_range.size
        return numbers

    def _starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each range, the number of its first feature, and what to add to a number to get its id."""
        sizes = np.array([id_range.size for id_range in self.ranges], dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
        return starts, np.array([id_range.first for id_range in self.ranges], dtype=np.int64) - starts
