"""The negative sampler: beside each positive, the same row with another item."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap
from afm_core.learning.prediction import NEGATIVE, POSITIVE
from afm_core.settings.tree import Negatives
from pipelines.contracts import LABEL, ROW_KEY, instances
from pipelines.preparation.drawing import draw_unseen
from pipelines.preparation.row_keys import GROUP

POSITIVE_KEY = "_positive_key"
"""The `row_key` of an instance's positive, its own for a positive."""


def with_negatives(positives: DataFrame, feature_map: FeatureMap, negatives: Negatives, seed: int) -> DataFrame:
    """Each positive and its negatives: contract `instances`, and `POSITIVE_KEY`.

    A negative is its positive with `negatives.replace` set to an item of the vocabulary that no log of the same
    `never_seen_by` value holds, in whichever split. Draws are hashes of (seed, row_key, draw number).
    Cost: no shuffle. A partition is held in memory as integers; the rows of one user stay in one partition.

    Args:
        positives: encoded logs with `row_key` and `GROUP`, all rows of a group in one partition.
    """
    names, item_ids, n = feature_map.names, feature_map[negatives.replace], negatives.per_positive
    schema = instances(names)
    arrow = pa.schema([(ROW_KEY, pa.int64()), *[(name, pa.int32()) for name in names], (LABEL, pa.float32())])
    draw_names = [f"_draw_{draw}" for draw in range(n)]
    drawn = positives.select(
        GROUP,
        ROW_KEY,
        *names,
        *[F.xxhash64(F.lit(seed), F.lit("negative"), ROW_KEY, F.lit(at)).alias(c) for at, c in enumerate(draw_names)],
    )

    def expand(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        partition = list(batches)
        if not partition:
            return
        rows = pa.Table.from_batches(partition)
        yield from _labelled(rows.select([ROW_KEY, *names]), POSITIVE, arrow)
        item = rows[negatives.replace].to_numpy().astype(np.int32) - np.int32(item_ids.first_id)
        draws = np.empty((rows.num_rows, n), dtype=np.uint64)
        for at, column in enumerate(draw_names):
            draws[:, at] = rows[column].to_numpy().view(np.uint64)
        items, found = draw_unseen(rows[GROUP].to_numpy(), item, draws, item_ids.size)
        for at in range(n):
            kept = pa.array(found[:, at])
            replaced = pa.array(items[found[:, at], at] + np.int32(item_ids.first_id), pa.int32())
            negative = rows.select([ROW_KEY, *names]).filter(kept)
            position = negative.column_names.index(negatives.replace)
            negative = negative.set_column(position, negatives.replace, replaced)
            yield from _labelled(negative, NEGATIVE, arrow, at + 1)

    expanded = drawn.mapInArrow(expand, _with_copy(schema.simpleString()))
    own_key = F.when(F.col("_copy") > 0, F.xxhash64(ROW_KEY, "_copy")).otherwise(F.col(ROW_KEY))
    return expanded.select(F.col(ROW_KEY).alias(POSITIVE_KEY), own_key.alias(ROW_KEY), *names, LABEL)


def _with_copy(schema: str) -> str:
    return schema.removeprefix("struct<").removesuffix(">") + ",_copy:int"


def _labelled(rows: pa.Table, label: float, schema: pa.Schema, copy: int = 0) -> Iterator[pa.RecordBatch]:
    """Add the label, and the number of the negative (0 for a positive)."""
    rows = rows.append_column(LABEL, pa.array(np.full(rows.num_rows, label, dtype=np.float32))).cast(schema)
    rows = rows.append_column("_copy", pa.array(np.full(rows.num_rows, copy, dtype=np.int32)))
    yield from rows.to_batches(max_chunksize=65_536)
