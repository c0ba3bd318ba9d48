"""Looking up the ids of all values in one pass through Spark's Python workers: of tags, and of single values.

A join in Spark for each field would make the plan, and the time to analyse it, grow with the square of their number:
100 fields of a thousand rows filled a heap of 2 GiB.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import FloatType, IntegerType, StructField, StructType

from afm_core.features import FieldIds, Tags
from pipelines.encoding.vocabulary import Vocabulary, read_vocabularies
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


def encode_lists(
    lists: pa.ListArray, vocabulary: Vocabulary, length: int, unknown_id: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The known tags of each row, the most frequent first, padded with 0; the unknown id if none is known.

    Args:
        lists: N lists of distinct text, or nulls.

    Returns:
        ids (N, length) int32 and x (N,) float32, 1 / number of ids.
    """
    row = pc.list_parent_indices(lists).to_numpy()
    position = vocabulary.positions(pc.list_flatten(lists))
    row, position = row[position >= 0], position[position >= 0]
    order = np.lexsort((position, row))
    row, position = row[order], position[order]
    counts = np.bincount(row, minlength=len(lists))
    slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    fits = slot < length
    ids = np.zeros((len(lists), length), dtype=np.int32)
    ids[row[fits], slot[fits]] = vocabulary.ids[position[fits]]
    ids[counts == 0, 0] = unknown_id
    return ids, (1.0 / np.clip(counts, 1, length)).astype(np.float32)
