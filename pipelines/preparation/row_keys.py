"""Giving every log a key that depends on nothing but its content."""

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from afm_core.features import Field
from pipelines.contracts import ROW_KEY
from pipelines.encoding.digest import content_hash
from pipelines.encoding.values import field_value

GROUP = "_seen_by"
"""Hash of the values whose logs decide what may be drawn as a negative (`negatives.never_seen_by`)."""


def with_content_hashes(logs: DataFrame, columns: list[str], group_by: Sequence[Field]) -> DataFrame:
    """Add what `with_row_keys` needs from the raw values, before they are encoded."""
    return (
        logs.withColumn(GROUP, content_hash([field_value(field) for field in group_by]))
        .withColumn("_content", content_hash([F.col(name) for name in columns]))
        .withColumn("_content_2", content_hash([F.col(name) for name in columns], salt="second"))
    )


def with_row_keys(logs: DataFrame) -> DataFrame:
    """Add `row_key`, and bring the rows of a `GROUP` together in one partition.

    Equal rows are numbered, so that each keeps a key of its own; which of them gets which number makes no difference.
    Two different rows with the same 64-bit hash are told apart by the second one. Cost: one shuffle of N rows, which
    the drawing of negatives uses too.
    """
    equal_rows = Window.partitionBy(GROUP, "_content").orderBy("_content_2")
    return (
        logs.repartition(GROUP)
        .withColumn("_copy", F.row_number().over(equal_rows))
        .withColumn(ROW_KEY, F.xxhash64("_content", "_copy"))
        .drop("_content", "_content_2", "_copy")
    )
