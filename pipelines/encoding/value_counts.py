"""Counting the values of all fields in one pass, and numbering them by frequency."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import Categorical, Field, Hashed, Tags, Time
from pipelines.encoding.indexing import INDEX, index_within_groups
from pipelines.encoding.values import text_value
from pipelines.logs.values import tag_values

_TOP = 5
_UNREACHABLE = 1 << 62


@dataclass(frozen=True)
class FieldValues:
    """Totals of the values of one field."""

    distinct: int = 0
    """Number of values in the logs; of a hashed field, number of buckets in use."""
    kept: int = 0
    """Number of values that are new to the map and frequent enough for an id of their own."""
    top: tuple[tuple[str, int], ...] = ()
    """The most frequent values and their counts."""


@dataclass(frozen=True)
class CountedValues:
    """The values of all fields with their counts, numbered within each field."""

    frame: DataFrame
    """Columns position (of the field), value, count, _old (id in the map to extend), INDEX (kept values first)."""
    fields: tuple[FieldValues, ...]


def count_values(logs: DataFrame, fields: Sequence[Field], known: DataFrame | None) -> CountedValues:
    """Count the values of each field and number them: values to be kept first, then by descending count, then by value.

    Cost: one shuffle of the distinct (field, value) pairs, one sort of them. The driver sees totals and the top values.

    Args:
        known: (position, value, _old) of the map to extend.
    """
    counted = _counts(logs, fields)
    if known is None:
        counted = counted.withColumn("_old", F.lit(None).cast("int"))
    else:
        counted = counted.join(known, ["position", "value"], "left")
    is_kept = F.col("_old").isNull() & (F.col("count") >= F.get(F.array(*map(F.lit, _minima(fields))), "position"))
    # Kept values come first in each field, so one sort numbers them and finds the most frequent ones.
    ranked = counted.withColumn("_rank", F.when(is_kept, 0).otherwise(1))
    indexed = index_within_groups(ranked, "position", [F.asc("_rank"), F.desc("count"), F.asc("value")])
    return CountedValues(indexed.frame, _totals(indexed.frame, len(fields)))


def _counts(logs: DataFrame, fields: Sequence[Field]) -> DataFrame:
    """(position, value, count) of every value of every field that has values."""
    pairs = [
        F.array(F.struct(F.lit(position).alias("position"), text_value(field).alias("value")))
        for position, field in enumerate(fields)
        if isinstance(field, Categorical | Time | Hashed)
    ]
    pairs = [F.concat(*pairs)] if pairs else []
    for position, field in enumerate(fields):
        if isinstance(field, Tags):
            pairs.append(_with_position(F.coalesce(tag_values(field), F.array().cast("array<string>")), position))
    if not pairs:
        return logs.sparkSession.createDataFrame([], "position int, value string, count long")
    return (
        logs.select(F.inline(F.concat(*pairs)))
        .where("value IS NOT NULL")
        .groupBy("position", "value")
        .agg(F.count(F.lit(1)).alias("count"))
    )


def _with_position(tags: Column, position: int) -> Column:
    return F.transform(tags, lambda tag: F.struct(F.lit(position).alias("position"), tag.alias("value")))


def _minima(fields: Sequence[Field]) -> list[int]:
    """By field, the number of occurrences that a value needs for an id of its own."""
    return [
        _UNREACHABLE if isinstance(field, Hashed) else field.min_count if isinstance(field, Categorical | Tags) else 1
        for field in fields
    ]


def _totals(numbered: DataFrame, n_fields: int) -> tuple[FieldValues, ...]:
    totals = numbered.groupBy("position").agg(
        F.count(F.lit(1)).alias("distinct"), F.count_if(F.col("_rank") == 0).alias("kept")
    )
    sizes = {row["position"]: (row["distinct"], row["kept"]) for row in totals.collect()}  # one row per field
    first_of_rest = F.get(
        F.array(*[F.lit(sizes.get(position, (0, 0))[1]) for position in range(n_fields)]), F.col("position")
    )
    most_frequent = numbered.where((F.col(INDEX) < _TOP) | (F.col(INDEX) - first_of_rest).between(0, _TOP - 1))
    top: dict[int, list[tuple[str, int]]] = {}
    for row in most_frequent.select("position", "value", "count").collect():  # at most 2 * _TOP rows per field
        top.setdefault(row["position"], []).append((row["value"], row["count"]))
    values = []
    for position in range(n_fields):
        ordered = sorted(top.get(position, []), key=lambda pair: (-pair[1], pair[0]))
        values.append(FieldValues(*sizes.get(position, (0, 0)), tuple(ordered[:_TOP])))
    return tuple(values)
