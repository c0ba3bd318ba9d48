"""The negative sampler: beside each positive, the same row with another item."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from afm_core.labels import NEGATIVE
from afm_core.settings.data import NegativesSettings
from pipelines.contracts import LABEL, ROW_KEY
from pipelines.preparation.negatives.candidates import LoadedNegativeCandidates, NegativeCandidates, context_key
from pipelines.preparation.negatives.sampler import Unseen, draw_unseen
from pipelines.preparation.row_keys import GROUP, WITNESS

POSITIVE_KEY = "_positive_key"
"""The `row_key` of an instance's positive, its own for a log."""
_COPY, _CONTEXT = "_copy", "_context"


def with_negatives(
    logs: DataFrame, candidates: NegativeCandidates | None, negatives: NegativesSettings, per_positive: int, seed: int
) -> DataFrame:
    """The logs and the negatives of those with a positive label, with `POSITIVE_KEY` added.

    A negative is its positive with the replaced fields set to those of a candidate that no log of the same
    `never_seen_by` values holds, in whichever split. Draws are hashes of (seed, row_key, draw number).
    Cost: no shuffle. A partition is held in memory as integers.

    Args:
        logs: encoded, with `row_key`, `label` and `GROUP`, all rows of a group, or its `WITNESS`es, in one partition.
        candidates: None where nothing is to be drawn.
    """
    names = [name for name in logs.columns if name not in (GROUP, WITNESS)]
    if candidates is None or not per_positive:
        return logs.select(F.col(ROW_KEY).alias(POSITIVE_KEY), *names)
    draws = [F.xxhash64(F.lit(seed), F.lit("negative"), ROW_KEY, F.lit(at)) for at in range(per_positive)]
    context = context_key(negatives) if negatives.within else F.lit(0).cast("long")
    asked = logs.select("*", context.alias(_CONTEXT), *[column.alias(f"_draw_{at}") for at, column in enumerate(draws)])

    def expand(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        partition = list(batches)
        if partition:
            rows = pa.Table.from_batches(partition).combine_chunks()
            yield from _expand(rows, names, candidates.load(), per_positive)

    schema = StructType([*[logs.schema[name] for name in names], StructField(_COPY, IntegerType())])
    expanded = asked.mapInArrow(expand, _nullable(schema))
    own_key = F.when(F.col(_COPY) > 0, F.xxhash64(ROW_KEY, _COPY)).otherwise(F.col(ROW_KEY))
    others = [name for name in names if name != ROW_KEY]
    return expanded.select(F.col(ROW_KEY).alias(POSITIVE_KEY), own_key.alias(ROW_KEY), *others)


def _expand(rows: pa.Table, names: list[str], candidates: LoadedNegativeCandidates, n: int) -> Iterator[pa.RecordBatch]:
    """The logs of a partition, then their first negatives, then their second, and so on."""
    replaced = list(candidates.ids)
    _, group = np.unique(rows[GROUP].to_numpy(), return_inverse=True)
    item = candidates.numbers([rows[name].to_numpy().astype(np.int32) for name in replaced])
    unseen = Unseen(group.astype(np.int64), item, candidates.weights)
    is_log = ~rows[WITNESS].to_numpy()
    positive = np.flatnonzero(is_log & (np.nan_to_num(rows[LABEL].to_numpy()) > 0))
    draws = np.empty((len(positive), n), dtype=np.uint64)
    for at in range(n):
        draws[:, at] = rows[f"_draw_{at}"].to_numpy()[positive].view(np.uint64)
    context = rows[_CONTEXT].to_numpy()[positive]
    items, found = draw_unseen(unseen, group[positive], draws, candidates.weights, candidates.contexts, context)

    yield from _copies(rows.select(names).filter(pa.array(is_log)), 0)
    positives = rows.select(names).take(pa.array(positive))
    for at in range(n):
        drawn = positives.filter(pa.array(found[:, at]))
        chosen = items[found[:, at], at]
        for name in replaced:
            drawn = _with(drawn, name, candidates.ids[name][chosen].astype(np.int32))
        yield from _copies(_with(drawn, LABEL, np.full(len(chosen), NEGATIVE, dtype=np.float32)), at + 1)


def _with(rows: pa.Table, name: str, values: NDArray[np.int32] | NDArray[np.float32]) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


def _copies(rows: pa.Table, number: int) -> Iterator[pa.RecordBatch]:
    """The rows, with the number of the negative (0 for a log). Every batch has the same schema, nulls allowed."""
    rows = rows.cast(pa.schema([pa.field(field.name, field.type) for field in rows.schema]))
    rows = rows.append_column(_COPY, pa.array(np.full(rows.num_rows, number, dtype=np.int32)))
    yield from rows.to_batches(max_chunksize=65_536)


def _nullable(schema: StructType) -> StructType:
    return StructType([StructField(field.name, field.dataType) for field in schema])
