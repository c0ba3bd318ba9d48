"""Adding negatives: each is a copy of its positive in which the replaced fields hold another candidate."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from afm_core.labels import NEGATIVE
from afm_core.settings.data import NegativesSettings
from pipelines.contract_checks import Contract, check_batch
from pipelines.contracts import LABEL, ROW_KEY
from pipelines.logs.columns import OURS
from pipelines.preparation.negatives.candidates import LoadedNegativeCandidates, NegativeCandidates, context_key
from pipelines.preparation.negatives.sampler import Unseen, draw_unseen
from pipelines.preparation.row_keys import GROUP, WITNESS

POSITIVE_KEY = f"{OURS}positive key"
"""The `row_key` of an instance's positive; an event's own key."""
_COPY, _CONTEXT = f"{OURS}copy", f"{OURS}context"


def with_negatives(
    events: DataFrame, candidates: NegativeCandidates | None, negatives: NegativesSettings, per_positive: int, seed: int
) -> DataFrame:
    """The events, and the negatives of those with a positive label, with `POSITIVE_KEY` added.

    The candidate of a negative occurs in no event with the same `never_seen_by` values, in whichever split. Draws are
    hashes of (seed, row_key, number of the draw). Cost: no shuffle; each partition is held in memory as integers.

    Args:
        events: encoded, with `row_key`, `label` and `GROUP`. All rows of a group, or the group's `WITNESS` rows, are in
            one partition.
        candidates: None where no negatives are drawn.
    """
    names = [name for name in events.columns if name not in (GROUP, WITNESS)]
    if candidates is None or not per_positive:
        return events.select(F.col(ROW_KEY).alias(POSITIVE_KEY), *names)
    draws = [
        F.xxhash64(F.lit(seed), F.lit("negative"), ROW_KEY, F.lit(number)).alias(_draw_column(number))
        for number in range(per_positive)
    ]
    context = context_key(negatives) if negatives.within else F.lit(0).cast("long")
    rows = events.select("*", context.alias(_CONTEXT), *draws)
    contract = Contract("rows to draw negatives for", StructType(rows.schema.fields))

    def expand(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        partition = [check_batch(batch, contract) for batch in batches]
        if partition:
            table = pa.Table.from_batches(partition).combine_chunks()
            yield from _expand(table, names, candidates.load(), per_positive)

    schema = StructType([*[events.schema[name] for name in names], StructField(_COPY, IntegerType())])
    expanded = rows.mapInArrow(expand, _nullable(schema))
    own_key = F.when(F.col(_COPY) > 0, F.xxhash64(ROW_KEY, _COPY)).otherwise(F.col(ROW_KEY))
    others = [name for name in names if name != ROW_KEY]
    return expanded.select(F.col(ROW_KEY).alias(POSITIVE_KEY), own_key.alias(ROW_KEY), *others)


def _draw_column(number: int) -> str:
    return f"{OURS}draw {number}"


def _expand(rows: pa.Table, names: list[str], candidates: LoadedNegativeCandidates, n: int) -> Iterator[pa.RecordBatch]:
    """The events of a partition, then the first negative of each positive, then the second, and so on."""
    replaced = list(candidates.ids)
    _, group = np.unique(rows[GROUP].to_numpy(), return_inverse=True)
    item = candidates.numbers([rows[name].to_numpy().astype(np.int32) for name in replaced])
    unseen = Unseen(group.astype(np.int64), item, candidates.weights)
    is_event = ~rows[WITNESS].to_numpy()
    positive = np.flatnonzero(is_event & (np.nan_to_num(rows[LABEL].to_numpy()) > 0))
    draws = np.empty((len(positive), n), dtype=np.uint64)
    for number in range(n):
        draws[:, number] = rows[_draw_column(number)].to_numpy()[positive].view(np.uint64)
    context = rows[_CONTEXT].to_numpy()[positive]
    items, is_drawn = draw_unseen(unseen, group[positive], draws, candidates.weights, candidates.contexts, context)

    yield from _copies(rows.select(names).filter(pa.array(is_event)), 0)
    positives = rows.select(names).take(pa.array(positive))
    for number in range(n):
        negatives = positives.filter(pa.array(is_drawn[:, number]))
        chosen = items[is_drawn[:, number], number]
        for name in replaced:
            negatives = _with(negatives, name, candidates.ids[name][chosen].astype(np.int32))
        for name, values in candidates.attributes.items():
            negatives = _with(negatives, name, values[chosen])
        labels = np.full(len(chosen), NEGATIVE, dtype=np.float32)
        yield from _copies(_with(negatives, LABEL, labels), number + 1)


def _with(rows: pa.Table, name: str, values: NDArray[np.int32] | NDArray[np.float32]) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


def _copies(rows: pa.Table, number: int) -> Iterator[pa.RecordBatch]:
    """The rows with the number of the negative, 0 for an event. All batches have the same schema, nulls allowed."""
    rows = rows.cast(pa.schema([pa.field(field.name, field.type) for field in rows.schema]))
    rows = rows.append_column(_COPY, pa.array(np.full(rows.num_rows, number, dtype=np.int32)))
    yield from rows.to_batches(max_chunksize=65_536)


def _nullable(schema: StructType) -> StructType:
    return StructType([StructField(field.name, field.dataType) for field in schema])
