"""The feature map: which id stands for which value of which field.

Ids are global, so that one embedding table serves all fields::

    0                   padding: zero vector, zero weight, masked out of the attention softmax
    1 .. m              the unknown id of each field, in the order of the settings
    m+1 .. n_ids-1      the features, field by field; values of a vocabulary by falling count, ties by value

A map that extends an older one keeps its ids and appends new ones, again field by field, so the ids of a field are a
list of ranges. The map itself is a Parquet table `(id, field, value, count)` that may be large. `FeatureMap` is its
layout, a few numbers per field, stored in the metadata of that file; models, training and evaluation need no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from afm_core.errors import AfmError
from afm_core.features.derived_field import CoOccurrence, Crossed, Derived, Frequency, TargetRate
from afm_core.features.field import Field
from afm_core.features.field_ids import FieldIds, IdRange, Scaling
from afm_core.storage.paths import open_for_reading

PADDING_ID = 0
FEATURES_FILE = "features.parquet"
COUNTS_FILE, PAIRS_FILE, RATES_FILE = DERIVED_FILES = ("counts.parquet", "pairs.parquet", "rates.parquet")
"""Files of a map in a dataset or bundle: the ids; and what frequency, co-occurrence and target rate fields look up."""
_METADATA_KEY = b"afm.feature_map"


@dataclass(frozen=True)
class FeatureMap:
    """Layout and fingerprint of a feature map."""

    fields: tuple[FieldIds, ...]
    fingerprint: str
    """Hexadecimal digest of every (id, field, value) and of the layout: equal fingerprints mean equal encodings."""

    @classmethod
    def lay_out(
        cls,
        declared: Sequence[Field],
        sizes: Sequence[int],
        scalings: Sequence[Scaling | None] | None = None,
        extends: "FeatureMap | None" = None,
    ) -> "FeatureMap":
        """Assign ids to each field.

        Args:
            sizes: number of features of each field; with `extends`, of new features.
            scalings: the fitted scaling of each field that has one.
            extends: a map over the same fields, whose ids are kept; new ids follow the last one.

        Returns:
            a map without a fingerprint.
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
        """Number of ids, which is the rows of an embedding table: padding, unknown ids and features."""
        return 1 + len(self.fields) + self.n_features

    @property
    def n_features(self) -> int:
        """Number of features over all fields; the paper's n."""
        return sum(field.size for field in self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Field names, in the order of the settings."""
        return tuple(field.name for field in self.fields)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """Columns of ids in a dataset, in the order of the columns of a batch."""
        return tuple(column for field in self.fields for column in field.id_columns)

    @property
    def x_columns(self) -> tuple[str, ...]:
        """Columns of x_i in a dataset, for the fields that have one."""
        return tuple(field.x_column for field in self.fields if field.x_column)

    @property
    def column_fields(self) -> tuple[FieldIds, ...]:
        """(F,) the field of each column of a batch."""
        return tuple(field for field in self.fields for _ in field.id_columns)

    @property
    def value_index(self) -> tuple[int, ...]:
        """(F,) for each column of a batch the position of its x_i among `x_columns`, -1 where x_i is 1."""
        columns = self.x_columns
        return tuple(columns.index(field.x_column) if field.x_column else -1 for field in self.column_fields)

    @property
    def crossed(self) -> tuple[tuple[FieldIds, Crossed], ...]:
        """The crossed fields with their declarations."""
        return tuple((field, field.declared) for field in self.fields if isinstance(field.declared, Crossed))

    @property
    def frequencies(self) -> tuple[tuple[FieldIds, Frequency], ...]:
        """The frequency fields with their declarations."""
        return tuple((field, field.declared) for field in self.fields if isinstance(field.declared, Frequency))

    @property
    def co_occurrences(self) -> tuple[tuple[FieldIds, CoOccurrence], ...]:
        """The co-occurrence fields with their declarations."""
        return tuple((field, field.declared) for field in self.fields if isinstance(field.declared, CoOccurrence))

    @property
    def target_rates(self) -> tuple[tuple[FieldIds, TargetRate], ...]:
        """The target rate fields with their declarations."""
        return tuple((field, field.declared) for field in self.fields if isinstance(field.declared, TargetRate))

    @property
    def derived_from(self) -> frozenset[str]:
        """Names of the fields that others are computed from."""
        derived = [field.declared for field in self.fields if isinstance(field.declared, Derived)]
        return frozenset(name for declared in derived for name in declared.of)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the files that the map consists of."""
        return (
            FEATURES_FILE,
            *([COUNTS_FILE] if self.frequencies else []),
            *([PAIRS_FILE] if self.co_occurrences else []),
            *([RATES_FILE] if self.target_rates else []),
        )

    def __getitem__(self, name: str) -> FieldIds:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, FieldIds]:
        return {field.name: field for field in self.fields}

    def to_metadata(self) -> dict[bytes, bytes]:
        """The metadata that stores the layout in the schema of the feature table."""
        return {_METADATA_KEY: _ADAPTER.dump_json(self)}

    @classmethod
    def read(cls, path: Path) -> "FeatureMap":
        """Read the layout from the metadata of a feature table.

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
        """One dictionary per field, for reports and JSON."""
        return [
            {"name": field.name, "kind": field.declared.kind, "unknown_id": field.unknown_id, "size": field.size}
            for field in self.fields
        ]


_ADAPTER = TypeAdapter(FeatureMap)
