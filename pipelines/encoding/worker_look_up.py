"""Looking up the ids of all values in one pass through Spark's Python workers: of tags, and of single values.

A join in Spark for each field would make the plan, and the time to analyse it, grow with the square of their number:
100 fields of a thousand rows filled a heap of 2 GiB.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import FloatType, IntegerType, StructField, StructType

from afm_core.encoding.tag_lists import encode_lists
from afm_core.encoding.vocabulary import read_vocabularies
from afm_core.features import FieldIds, Tags
from pipelines.logs.columns import OURS
from pipelines.spark import Batches, map_in_arrow


def looked_up(rows: DataFrame, fields: Sequence[FieldIds], features: Path, fingerprint: str) -> DataFrame:
    """Replace the values of fields by their columns. Cost: rows pass through Python once; workers hold vocabularies.

    Args:
        rows: for tags with the values in `tags_column`, for other fields in the column of the field's name.
        features: path of the feature table, which every executor can read.
        fingerprint: that of the feature map.
    """
    if not fields:
        return rows
    values = {_values_column(ids) for ids in fields}
    kept = [field for field in rows.schema if field.name not in values]
    added = [
        StructField(name, kind, nullable=False)
        for ids in fields
        for name, kind in [*[(name, IntegerType()) for name in ids.id_columns], *_x_of_tags(ids)]
    ]
    encoder = _encoder(fields, str(features), [field.name for field in kept], fingerprint)
    return map_in_arrow(rows, encoder, StructType([*kept, *added]))


def tags_column(ids: FieldIds) -> str:
    """The column with the list of a field's tags."""
    return f"{OURS}tags {ids.name}"


def _values_column(ids: FieldIds) -> str:
    return tags_column(ids) if isinstance(ids.declared, Tags) else ids.name


def _x_of_tags(ids: FieldIds) -> list[tuple[str, FloatType]]:
    return [(ids.x_column, FloatType())] if ids.x_column else []


def _encoder(
    fields: Sequence[FieldIds], features: str, kept: list[str], fingerprint: str
) -> Callable[[Batches], Batches]:
    def encode(batches: Batches) -> Iterator[pa.RecordBatch]:
        vocabularies = read_vocabularies(features, tuple(ids.name for ids in fields), fingerprint)
        for batch in batches:
            columns = {name: batch.column(name) for name in kept}
            for ids in fields:
                values, vocabulary = batch.column(_values_column(ids)), vocabularies[ids.name]
                if not isinstance(ids.declared, Tags):
                    columns[ids.name] = pa.array(vocabulary.look_up(values, ids.unknown_id))
                    continue
                tag_ids, x = encode_lists(values, vocabulary, ids.declared.width, ids.unknown_id)
                columns |= {name: pa.array(tag_ids[:, slot]) for slot, name in enumerate(ids.id_columns)}
                columns[str(ids.x_column)] = pa.array(x)
            yield pa.RecordBatch.from_pydict(columns)

    return encode
