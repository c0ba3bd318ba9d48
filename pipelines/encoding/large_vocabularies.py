"""Looking up the ids of values in vocabularies that are too large for Python workers: joins in Spark."""

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.features import FieldIds
from pipelines.encoding.feature_table import scan_feature_table
from pipelines.logs.columns import OURS, column

BROADCAST_VALUES = 500_000
"""Vocabularies up to this size are broadcast to the executors; of a larger one, only the most frequent values."""
_SALTS, _SALTED_BY = 4096, 8
_ID, _REST, _LATE = f"{OURS}id", f"{OURS}rest", f"{OURS}late"


def joined(rows: DataFrame, fields: Sequence[FieldIds], features: Path) -> DataFrame:
    """Add the ids of fields whose `value_column` holds the text of their value. Cost: at most one shuffle per field.

    Args:
        features: path of the feature table.
    """
    if not fields:
        return rows
    table = scan_feature_table(rows.sparkSession, features)
    for ids in fields:
        with_id = _look_up(rows, table, ids)
        id_ = F.coalesce(_ID, F.lit(ids.unknown_id)).cast("int")
        rows = with_id.withColumn(ids.name, id_).drop(_ID, value_column(ids))
    return rows


def value_column(ids: FieldIds) -> str:
    """The column with the text of a field's value."""
    return f"{OURS}value {ids.name}"


def _look_up(rows: DataFrame, features: DataFrame, ids: FieldIds) -> DataFrame:
    """Add the id of a value, null if it is not in the vocabulary.

    The ids of a large vocabulary are in order of descending count, so its head holds every value that is frequent
    enough to skew a join. Rows whose value is in the head, or missing, are spread over the join of the rest by a salt.
    """
    value = value_column(ids)
    vocabulary = features.where((F.col("field") == ids.name) & F.col("value").isNotNull()).select(
        F.col("value").alias(value), F.col("id").alias(_ID)
    )
    if ids.size <= BROADCAST_VALUES:
        return rows.join(F.broadcast(vocabulary), value, "left")
    last_of_head = ids.ranges[0].first + BROADCAST_VALUES - 1
    head = vocabulary.where(F.col(_ID) <= last_of_head)
    rest = vocabulary.where(F.col(_ID) > last_of_head).withColumnsRenamed({value: _REST, _ID: _LATE})
    rows = rows.join(F.broadcast(head), value, "left")
    salted_by = [column(name) for name in rows.columns[:_SALTED_BY]]
    salt = F.concat(F.lit("\u0000"), F.pmod(F.xxhash64(*salted_by), F.lit(_SALTS)).cast("string"))
    is_searched = F.col(_ID).isNull() & F.col(value).isNotNull()
    rows = rows.withColumn(_REST, F.when(is_searched, F.col(value)).otherwise(salt)).join(rest, _REST, "left")
    return rows.withColumn(_ID, F.coalesce(_ID, _LATE)).drop(_LATE, _REST)
