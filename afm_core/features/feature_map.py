"""The feature map: which id stands for which value of which field.

Ids are global and consecutive, so that one embedding table serves all fields::

    0                   padding: zero vector, zero weight, masked out of the attention softmax
    1 .. m              the unknown id of each field, in the order of the settings
    m+1 .. n_ids-1      the vocabulary, field by field, by falling count, ties by value

The map itself is a Parquet table `(id, field, value, count)` that may be large; this class is its layout, a few numbers
a field, kept in the metadata of that file. It is all that a model, a trainer or an evaluation needs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from afm_core.errors import AfmError
from afm_core.features.field import Field

PADDING_ID = 0
_METADATA_KEY = b"afm.feature_map"


@dataclass(frozen=True)
class FieldIds:
    """The ids of one field: `unknown_id`, and `size` vocabulary ids from `first_id`."""

    name: str
    unknown_id: int
    first_id: int
    size: int
    ignore_case: bool = False
    """The vocabulary is in lower case, and so must be what is looked up."""


@dataclass(frozen=True)
class FeatureMap:
    """Layout and fingerprint of a feature map."""

    fields: tuple[FieldIds, ...]
    fingerprint: str
    """Hexadecimal digest of every (id, field, value); equal fingerprints mean equal encodings."""

    @classmethod
    def lay_out(cls, declared: Sequence[Field], sizes: Sequence[int], fingerprint: str = "") -> "FeatureMap":
        """Give each field its ids. `sizes`: of the vocabularies, in the order of the fields."""
        fields, first = [], 1 + len(declared)
        for position, (field, size) in enumerate(zip(declared, sizes, strict=True)):
            fields.append(FieldIds(field.name, 1 + position, first, size, field.ignore_case))
            first += size
        return cls(tuple(fields), fingerprint)

    @property
    def n_ids(self) -> int:
        """Rows of an embedding table: padding, unknown ids and vocabulary."""
        return 1 + len(self.fields) + self.n_features

    @property
    def n_features(self) -> int:
        """Vocabulary over all fields; the paper's n."""
        return sum(field.size for field in self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in the order of the columns of a batch."""
        return tuple(field.name for field in self.fields)

    def __getitem__(self, name: str) -> FieldIds:
        return next(field for field in self.fields if field.name == name)

    def to_metadata(self) -> dict[bytes, bytes]:
        """Key and value to put into the schema of the Parquet table."""
        return {_METADATA_KEY: TypeAdapter(FeatureMap).dump_json(self)}

    @classmethod
    def read(cls, path: Path) -> "FeatureMap":
        """Read the layout from the footer of a feature table.

        Raises:
            AfmError: there is no readable feature table at `path`.
        """
        try:
            metadata = pq.read_schema(path).metadata or {}
            return TypeAdapter(FeatureMap).validate_json(metadata[_METADATA_KEY])
        except (OSError, pa.ArrowInvalid, KeyError, ValidationError) as error:
            raise AfmError(f"{path}: not a feature map written by jobs/prepare.py ({type(error).__name__})") from error

    def describe(self) -> list[dict[str, object]]:
        """One plain dictionary a field, for tables and JSON."""
        return [asdict(field) for field in self.fields]
