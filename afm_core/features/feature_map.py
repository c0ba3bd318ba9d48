"""The feature map: which id stands for which value of which field.

Ids are global, so that one embedding table serves all fields::

    0                   padding: zero vector, zero weight, masked out of the attention softmax
    1 .. m              the unknown id of each field, in the order of the settings
    m+1 .. n_ids-1      the features, field by field; values of a vocabulary by falling count, ties by value

A map that extends an older one keeps its ids and appends new ones, field by field again, so a field's ids are a list of
ranges. The map itself is a Parquet table `(id, field, value, count)` that may be large; this class is its layout, a few
numbers a field, kept in the metadata of that file. It is all that a model, a trainer or an evaluation needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from afm_core.errors import AfmError
from afm_core.features.field import CoOccurrence, Crossed, Field, FieldOrName, Frequency
from afm_core.storage.paths import open_for_reading

PADDING_ID = 0
FEATURES_FILE, COUNTS_FILE, PAIRS_FILE = "features.parquet", "counts.parquet", "pairs.parquet"
"""Files of a map, side by side in a dataset and in a bundle: what ids mean, what count and affinity fields know."""
_METADATA_KEY = b"afm.feature_map"


@dataclass(frozen=True)
class Scaling:
    """What was fitted of a numeric field: x_i = (number - mean) / deviation, or the bucket between two edges."""

    mean: float = 0.0
    deviation: float = 1.0
    edges: tuple[float, ...] = ()
    """Bucket i holds the numbers from edges[i-1] (included) to edges[i] (excluded)."""


@dataclass(frozen=True)
class IdRange:
    """`size` consecutive ids from `first`."""

    first: int
    size: int


@dataclass(frozen=True)
class FieldIds:
    """One field of a map: its ids, its columns, and what its values are encoded with."""

    declared: FieldOrName
    unknown_id: int
    ranges: tuple[IdRange, ...]
    """Where its features' ids are; feature number 0 is the first of the first range."""
    scaling: Scaling | None = None

    @property
    def name(self) -> str:
        """Of the field."""
        return self.declared.name

    @property
    def size(self) -> int:
        """Features, the unknown one aside."""
        return sum(piece.size for piece in self.ranges)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """Columns of ids in a dataset: the name, or numbered ones for tags."""
        width = self.declared.width
        return (self.name,) if width == 1 else tuple(f"{self.name}_{slot}" for slot in range(1, width + 1))

    @property
    def x_column(self) -> str | None:
        """Column of x_i in a dataset, None where x_i is 1."""
        return f"{self.name}_x" if self.declared.carries_x else None

    def ids(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ids of features by number, 0 .. size-1."""
        starts, shifts = self._starts()
        ids: NDArray[np.int32] = (numbers + shifts[np.searchsorted(starts, numbers, side="right") - 1]).astype(np.int32)
        return ids

    def numbers(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The numbers of features by id; -1 for any id that is not one of this field's features."""
        found = np.full(ids.shape, -1, dtype=np.int64)
        before = 0
        for piece in self.ranges:
            inside = (ids >= piece.first) & (ids < piece.first + piece.size)
            found[inside] = ids[inside] - piece.first + before
            before += piece.size
        return found

    def _starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        sizes = np.array([piece.size for piece in self.ranges], dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
        return starts, np.array([piece.first for piece in self.ranges], dtype=np.int64) - starts


@dataclass(frozen=True)
class FeatureMap:
    """Layout and fingerprint of a feature map."""

    fields: tuple[FieldIds, ...]
    fingerprint: str
    """Hexadecimal digest of every (id, field, value) and of the layout; equal fingerprints, equal encodings."""

    @classmethod
    def lay_out(
        cls,
        declared: Sequence[Field],
        sizes: Sequence[int],
        scalings: Sequence[Scaling | None] | None = None,
        extends: "FeatureMap | None" = None,
    ) -> "FeatureMap":
        """Give each field its ids.

        Args:
            sizes: number of (new) features of each field.
            extends: a map over the same fields whose ids stay; `sizes` are appended to it.
        """
        fields = []
        first = extends.n_ids if extends else 1 + len(declared)
        for position, (field, size) in enumerate(zip(declared, sizes, strict=True)):
            old = extends.fields[position].ranges if extends else ()
            new = (IdRange(first, size),) if size or not old else ()
            scaling = scalings[position] if scalings else None
            fields.append(FieldIds(field, 1 + position, (*old, *new), scaling))
            first += size
        return cls(tuple(fields), "")

    @cached_property
    def n_ids(self) -> int:
        """Rows of an embedding table: padding, unknown ids and features."""
        return 1 + len(self.fields) + self.n_features

    @property
    def n_features(self) -> int:
        """Features over all fields; the paper's n."""
        return sum(field.size for field in self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Field names, in the order of the settings."""
        return tuple(field.name for field in self.fields)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """Columns of ids, in the order of the columns of a batch."""
        return tuple(column for field in self.fields for column in field.id_columns)

    @property
    def x_columns(self) -> tuple[str, ...]:
        """Columns of x_i, of the fields that have one."""
        return tuple(field.x_column for field in self.fields if field.x_column)

    @property
    def slots(self) -> tuple[FieldIds, ...]:
        """The field of each column of a batch."""
        return tuple(field for field in self.fields for _ in field.id_columns)

    @property
    def value_index(self) -> tuple[int, ...]:
        """For each column of a batch the position of its x_i among `x_columns`, -1 where x_i is 1."""
        columns = self.x_columns
        return tuple(columns.index(field.x_column) if field.x_column else -1 for field in self.slots)

    @property
    def crossed(self) -> tuple[tuple[FieldIds, Crossed], ...]:
        """The crossed fields."""
        return tuple((field, field.declared) for field in self.fields if isinstance(field.declared, Crossed))

    @property
    def counted(self) -> tuple[tuple[FieldIds, Frequency], ...]:
        """The count fields."""
        return tuple((field, field.declared) for field in self.fields if isinstance(field.declared, Frequency))

    @property
    def co_occurrences(self) -> tuple[tuple[FieldIds, CoOccurrence], ...]:
        """The affinity fields."""
        return tuple((field, field.declared) for field in self.fields if isinstance(field.declared, CoOccurrence))

    @property
    def followed(self) -> frozenset[str]:
        """Names of the fields that crossed, count and affinity fields follow from."""
        derived = [
            field.declared for field in self.fields if isinstance(field.declared, Crossed | Frequency | CoOccurrence)
        ]
        return frozenset(name for declared in derived for name in declared.of)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the files that this map consists of."""
        return (FEATURES_FILE, *([COUNTS_FILE] if self.counted else []), *([PAIRS_FILE] if self.co_occurrences else []))

    def __getitem__(self, name: str) -> FieldIds:
        return next(field for field in self.fields if field.name == name)

    def to_metadata(self) -> dict[bytes, bytes]:
        """Key and value to put into the schema of the Parquet table."""
        return {_METADATA_KEY: _ADAPTER.dump_json(self)}

    @classmethod
    def read(cls, path: Path) -> "FeatureMap":
        """Read the layout from the footer of a feature table.

        Raises:
            AfmError: there is no readable feature table at `path`.
        """
        try:
            with open_for_reading(path) as file:
                metadata = pq.read_schema(file).metadata or {}
            return _ADAPTER.validate_json(metadata[_METADATA_KEY])
        except (OSError, pa.ArrowInvalid, KeyError, ValidationError) as error:
            raise AfmError(f"{path}: not a feature map written by jobs/prepare.py ({type(error).__name__})") from error

    def describe(self) -> list[dict[str, Any]]:
        """One plain dictionary a field, for tables and JSON."""
        return [
            {"name": field.name, "kind": field.declared.kind, "unknown_id": field.unknown_id, "size": field.size}
            for field in self.fields
        ]


_ADAPTER = TypeAdapter(FeatureMap)
