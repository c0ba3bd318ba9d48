"""Encoding tags: from the text of a row to ids in `length` columns, in Spark's Python workers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import FloatType, IntegerType, StructField, StructType

from afm_core.features import FeatureMap, FieldIds, Tags
from pipelines.encoding.vocabulary import Vocabulary, read_vocabularies
from pipelines.logs.values import tag_values
from pipelines.spark import Batches, map_in_arrow


def with_tags(rows: DataFrame, feature_map: FeatureMap, features: Path) -> DataFrame:
    """Add the columns of the tags fields. Cost: rows pass through Python once; each worker holds the vocabularies.

    Args:
        features: path of the feature table, which every executor can read.
    """
    fields = [ids for ids in feature_map.fields if isinstance(ids.declared, Tags)]
    if not fields:
        return rows
    for ids in fields:
        assert isinstance(ids.declared, Tags)
        rows = rows.withColumn(_tags_column(ids), tag_values(ids.declared))
    others = [field for field in rows.schema if field.name not in {_tags_column(ids) for ids in fields}]
    added = [
        StructField(column, kind, nullable=False)
        for ids in fields
        for column, kind in [*[(name, IntegerType()) for name in ids.id_columns], (f"{ids.name}_x", FloatType())]
    ]
    kept = [field for field in others if field.name not in {column.name for column in added}]
    encoder = _encoder(fields, str(features), [field.name for field in kept], feature_map.fingerprint)
    return map_in_arrow(rows, encoder, StructType([*kept, *added]))


def _tags_column(ids: FieldIds) -> str:
    return f"_tags_{ids.name}"


def _encoder(fields: list[FieldIds], features: str, kept: list[str], fingerprint: str) -> Callable[[Batches], Batches]:
    def encode(batches: Batches) -> Iterator[pa.RecordBatch]:
        vocabularies = read_vocabularies(features, tuple(ids.name for ids in fields), fingerprint)
        for batch in batches:
            columns = {name: batch.column(name) for name in kept}
            for ids in fields:
                lists, vocabulary = batch.column(_tags_column(ids)), vocabularies[ids.name]
                tag_ids, x = encode_lists(lists, vocabulary, ids.declared.width, ids.unknown_id)
                columns |= {name: pa.array(tag_ids[:, slot]) for slot, name in enumerate(ids.id_columns)}
                columns[f"{ids.name}_x"] = pa.array(x)
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
