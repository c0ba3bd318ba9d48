"""Giving every log a key that depends on nothing but its content, and bringing together what is drawn together."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from afm_core.features import Field
from pipelines.contracts import ROW_KEY
from pipelines.encoding.digest import content_hash
from pipelines.encoding.values import text_value
from pipelines.logs.columns import column

GROUP = "_seen_by"
"""Hash of the values whose logs decide what may be drawn as a negative (`negatives.never_seen_by`)."""
WITNESS = "_witness"
"""True for a row that is no log, but says what a group spread over several tasks has seen."""
_PART = "_part"

HEAVY = 1_000_000
"""Logs of a group that one task takes; the group of a busier user, or of a robot, is spread over several."""


def with_content_hashes(logs: DataFrame, columns: list[str], seen_by: Sequence[Field]) -> DataFrame:
    """Add what `with_row_keys` needs from the raw values, before they are encoded."""
    content = content_hash([column(name) for name in columns])
    group = content_hash([text_value(field) for field in seen_by]) if seen_by else content
    return logs.withColumns(
        {
            GROUP: group,
            "_content": content,
            "_content_2": content_hash([column(name) for name in columns], salt="second"),
        }
    )


def parts_of_heavy_groups(hashed: DataFrame) -> dict[int, int]:
    """Over how many tasks to spread each group of more than `HEAVY` logs: at most N / HEAVY of them.

    Cost: one shuffle of the distinct groups.
    """
    sizes = hashed.groupBy(GROUP).count().where(F.col("count") > HEAVY).collect()
    return {row[GROUP]: -(-row["count"] // HEAVY) for row in sizes}


def with_row_keys(encoded: DataFrame, heavy: dict[int, int], replaced: Sequence[str]) -> DataFrame:
    """Add `row_key`, and bring the rows of a `GROUP` together in one partition, or in as many as `heavy` says.

    Equal rows are numbered, so that each keeps a key of its own; which of them gets which number makes no difference.
    Two different rows with the same 64-bit hash are told apart by the second one. Cost: one shuffle of N rows, which
    the drawing of negatives uses too. Each part of a heavy group gets the group's distinct items, as `WITNESS` rows.
    """
    rows, together = encoded.withColumn(WITNESS, F.lit(False)), [GROUP]
    if heavy:
        # Only then: a constant among the keys would be optimised away in one place and not in the other, and Spark
        # would shuffle the groups apart again for the window.
        together = [GROUP, _PART]
        parts = F.coalesce(_parts(heavy), F.lit(1).cast("long"))
        rows = rows.withColumn(_PART, F.pmod("_content", parts))
        witnesses = encoded.where(F.col(GROUP).isin(list(heavy))).select(GROUP, *replaced).distinct()
        spread = F.explode(F.sequence(F.lit(0).cast("long"), _parts(heavy) - 1))
        witnesses = witnesses.withColumn(WITNESS, F.lit(True)).withColumn(_PART, spread)
        rows = rows.unionByName(witnesses, allowMissingColumns=True)
    equal_rows = Window.partitionBy(*together, "_content").orderBy("_content_2")
    return (
        rows.repartition(*together)
        .withColumn("_copy", F.row_number().over(equal_rows))
        .withColumn(ROW_KEY, F.xxhash64("_content", "_copy"))
        .drop("_content", "_content_2", "_copy", _PART)
    )


def _parts(heavy: dict[int, int]) -> Column:
    pairs = [F.lit(number).cast("long") for group, parts in heavy.items() for number in (group, parts)]
    return F.try_element_at(F.create_map(*pairs), F.col(GROUP))
