"""Keys of events that depend only on their content, and the partitioning that drawing negatives needs."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from afm_core.features import Field
from pipelines.contracts import ROW_KEY
from pipelines.encoding.digest import content_hash
from pipelines.encoding.values import text_value
from pipelines.logs.columns import OURS, column
from pipelines.logs.lists import marked
from pipelines.logs.log_columns import LogColumns

GROUP = f"{OURS}seen by"
"""Hash of the values of `negatives.never_seen_by`; the events of a group decide what may be drawn as a negative."""
WITNESS = f"{OURS}witness"
"""True for a row that is not an event but tells a task what its group has seen in other tasks."""
_PART, _COPY = f"{OURS}part", f"{OURS}copy"
_CONTENT, _CONTENT_2 = f"{OURS}content", f"{OURS}content 2"

HEAVY = 1_000_000
"""Largest number of events of a group that one task processes; larger groups are spread over several tasks."""


def with_content_hashes(events: DataFrame, columns: LogColumns, seen_by: Sequence[Field]) -> DataFrame:
    """Add the hashes of the raw values that `with_row_keys` needs, before the values are encoded."""
    values = [marked(column(name)) if name in columns.tag_sources else column(name) for name in columns.names]
    content = content_hash(values)
    group = content_hash([text_value(field) for field in seen_by]) if seen_by else content
    return events.withColumns(
        {
            GROUP: group,
            _CONTENT: content,
            _CONTENT_2: content_hash(values, salt="second"),
        }
    )


def parts_of_heavy_groups(hashed: DataFrame) -> dict[int, int]:
    """The number of tasks for each group of more than `HEAVY` events; there are at most N / HEAVY such groups.

    Cost: one shuffle of the distinct groups.
    """
    sizes = hashed.groupBy(GROUP).count().where(F.col("count") > HEAVY).collect()
    return {row[GROUP]: -(-row["count"] // HEAVY) for row in sizes}


def with_row_keys(encoded: DataFrame, heavy: dict[int, int], replaced: Sequence[str]) -> DataFrame:
    """Add `row_key`, and bring the rows of each `GROUP` into one partition, or into as many as `heavy` says.

    Equal rows are numbered, so that each has a key of its own; which of them gets which number does not matter. Two
    different rows with the same 64-bit hash are told apart by a second hash. Cost: one shuffle of N rows, which
    drawing negatives uses, too. Each part of a heavy group gets the group's distinct items, as `WITNESS` rows.
    """
    rows, together = encoded.withColumn(WITNESS, F.lit(False)), [GROUP]
    if heavy:
        # Only then: a constant among the keys would be optimised away in one place and not in the other, and Spark
        # would shuffle the groups apart again for the window.
        together = [GROUP, _PART]
        parts = F.coalesce(_parts(heavy), F.lit(1).cast("long"))
        rows = rows.withColumn(_PART, F.pmod(_CONTENT, parts))
        witnesses = encoded.where(F.col(GROUP).isin(list(heavy))).select(GROUP, *replaced).distinct()
        spread = F.explode(F.sequence(F.lit(0).cast("long"), _parts(heavy) - 1))
        witnesses = witnesses.withColumn(WITNESS, F.lit(True)).withColumn(_PART, spread)
        rows = rows.unionByName(witnesses, allowMissingColumns=True)
    equal_rows = Window.partitionBy(*together, _CONTENT).orderBy(_CONTENT_2)
    return (
        rows.repartition(*together)
        .withColumn(_COPY, F.row_number().over(equal_rows))
        .withColumn(ROW_KEY, F.xxhash64(_CONTENT, _COPY))
        .drop(_CONTENT, _CONTENT_2, _COPY, _PART)
    )


def _parts(heavy: dict[int, int]) -> Column:
    pairs = [F.lit(number).cast("long") for group, parts in heavy.items() for number in (group, parts)]
    return F.try_element_at(F.create_map(*pairs), F.col(GROUP))
