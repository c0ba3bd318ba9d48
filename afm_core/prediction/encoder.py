"""Encoding raw rows with the feature map of a bundle."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from afm_core.bundle import Bundle
from afm_core.encoding.tag_lists import encode_lists
from afm_core.encoding.vocabulary import read_vocabularies
from afm_core.features import Categorical, Derived, FieldIds, Hashed, Numeric, Tags, Time, has_vocabulary
from afm_core.prediction.derived import DerivedFields
from afm_core.prediction.hashes import hash_of_texts
from afm_core.prediction.numbers import encode_numbers
from afm_core.prediction.rules import Broken, broken_rules
from afm_core.prediction.sources import SourceReader, Sources
from afm_core.prediction.tables import RawColumns
from afm_core.prediction.tags import lowered
from afm_core.prediction.times import part_of_time

Ids = NDArray[np.int32]
X = NDArray[np.float32]


class EncodedRows(NamedTuple):
    """Rows as a model takes them."""

    ids: Ids
    """(N, F), columns as `FeatureMap.id_columns`."""
    x: X
    """(N, X), columns as `FeatureMap.x_columns`."""
    broken: list[Broken | None]
    """(N,) the first rule that a row breaks; what it is encoded as then means nothing."""


class RowEncoder:
    """Encodes rows; holds all vocabularies and tables of the map."""

    def __init__(self, bundle: Bundle) -> None:
        """Read them."""
        self._map = bundle.feature_map
        names = tuple(ids.name for ids in self._map.fields if has_vocabulary(ids.declared))
        path = str(bundle.features_path.absolute())
        self._vocabularies = read_vocabularies(path, names, self._map.fingerprint, indexed=True)
        self._derived = DerivedFields(self._map, bundle.path)
        self._fields = bundle.settings.fields
        self._sources = SourceReader(self._fields)
        self._required = tuple(
            source for name in bundle.settings.required_fields for source in bundle.settings.field(name).sources
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the fields read, each once."""
        return self._sources.columns

    def encode(self, columns: RawColumns) -> EncodedRows:
        """Encode N rows.

        Raises:
            RowsError: a column holds values of a type that no night could have.
        """
        sources = self._sources.read(columns)
        broken = broken_rules(sources, self._fields, self._required)
        ids: dict[str, Ids] = {}
        x: dict[str, X] = {}
        given = [field for field in self._map.fields if not isinstance(field.declared, Derived)]
        derived = [field for field in self._map.fields if isinstance(field.declared, Derived)]
        for field in given:
            ids[field.name], of_x = self._encode(field, sources)
            if of_x is not None:
                x[str(field.x_column)] = of_x
        for field in derived:
            assert isinstance(field.declared, Derived)
            of = [ids[name][:, 0] for name in field.declared.of]
            number, of_x = self._derived.encode(field, field.declared, of)
            ids[field.name] = number[:, None]
            if of_x is not None:
                x[str(field.x_column)] = of_x
        in_order = [ids[field.name] for field in self._map.fields]
        x_in_order = [x[name] for name in self._map.x_columns]
        no_x = np.empty((columns.n_rows, 0), dtype=np.float32)
        return EncodedRows(np.hstack(in_order), np.stack(x_in_order, axis=1) if x_in_order else no_x, broken)

    def _encode(self, field: FieldIds, sources: Sources) -> tuple[Ids, X | None]:
        """The ids (N, columns of the field), and x_i (N,) where the field has one."""
        match field.declared:
            case Tags() as tags:
                lists, vocabulary = sources.tags[tags.name], self._vocabularies[field.name]
                return encode_lists(lists, vocabulary, tags.width, field.unknown_id)
            case Numeric() as numeric:
                ids, x = encode_numbers(sources.numbers(numeric.source), field, numeric)
                return ids[:, None], x
            case Hashed() as hashed:
                text = sources.texts[hashed.source]
                return _bucket(lowered(text) if hashed.ignore_case else text, field, hashed.buckets)[:, None], None
            case Time() as time:
                value = part_of_time(sources.times(time.source, time.format), time)
            case Categorical() as categorical:
                text = sources.texts[categorical.source]
                value = lowered(text) if categorical.ignore_case else text
            case _:
                raise TypeError(field.declared.kind)
        return self._vocabularies[field.name].look_up(value, field.unknown_id)[:, None], None


def _bucket(text: pa.Array, field: FieldIds, buckets: int) -> Ids:
    ids = np.full(len(text), field.unknown_id, dtype=np.int32)
    given = text.is_valid().to_numpy(zero_copy_only=False)
    ids[given] = field.ranges[0].first + hash_of_texts(text.drop_null()) % buckets
    return ids
