"""Counting the values of all fields in one pass, and numbering them by frequency."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import Categorical, Field, Hashed, Tags, Time
from pipelines.encoding.indexing import index_within_groups
from pipelines.encoding.values import text_value
from pipelines.logs.values import tag_values

_TOP = 5
_NEVER = 1 << 62


@dataclass(frozen=True)
class FieldValues:
    """Totals of the values of one field."""

    distinct: int = 0
    """Values in the logs; of a hashed field its buckets in use."""
    kept: int = 0
    """Those that are new to the map and frequent enough for an id of their own."""
    top: tuple[tuple[str, int], ...] = ()
    """The most frequent values and their counts."""


@dataclass(frozen=True)
class CountedValues:
    """The values of all fields, numbered."""

    frame: DataFrame
    """position (of the field), value, count, _old (its id in the older map, or null), `index` (the kept ones first)."""
    fields: tuple[FieldValues, ...]


def count_values(logs: DataFrame, fields: Sequence[Field], known: DataFrame | None) -> CountedValues:
    """Count, and number the values of each field: those to be kept first, then by falling count, then by value.

    Cost: one shuffle of the distinct (field, value) pairs, one sort of them. The driver sees totals and the top values.

    Args:
        known: (position, value, _old) of the map that is to grow.
    """
    counted = _counts(logs, fields)
    if known is None:
        counted = counted.withColumn("_old", F.lit(None).cast("int"))
    else:
        counted = counted.join(known, ["position", "value"], "left")
    is_kept = F.col("_old").isNull() & (F.col("count") >= F.get(F.array(*map(F.lit, _minima(fields))), "position"))
    # The kept ones are a prefix of each field, so that one sort numbers them and finds the most frequent.
    ranked = counted.withColumn("_rank", F.when(is_kept, 0).otherwise(1))
    indexed = index_within_groups(ranked, "position", [F.asc("_rank"), F.desc("count"), F.asc("value")])
    return CountedValues(indexed.frame, _totals(indexed.frame, len(fields)))


def _counts(logs: DataFrame, fields: Sequence[Field]) -> DataFrame:
    """(position, value, count) of every value of every field that has values."""
    pairs = [
        F.array(F.struct(F.lit(at).alias("position"), text_value(field).alias("value")))
        for at, field in enumerate(fields)
        if isinstance(field, Categorical | Time | Hashed)
    ]
    pairs = [F.concat(*pairs)] if pairs else []
    for at, field in enumerate(fields):
        if isinstance(field, Tags):
            pairs.append(_positioned(F.coalesce(tag_values(field), F.array().cast("array<string>")), at))
    if not pairs:
        return logs.sparkSession.createDataFrame([], "position int, value string, count long")
    return (
        logs.select(F.inline(F.concat(*pairs)))
        .where("value IS NOT NULL")
        .groupBy("position", "value")
        .agg(F.count(F.lit(1)).alias("count"))
    )


def _positioned(tags: Column, at: int) -> Column:
    return F.transform(tags, lambda tag: F.struct(F.lit(at).alias("position"), tag.alias("value")))


def _minima(fields: Sequence[Field]) -> list[int]:
    """How often a value of each field must occur for an id of its own."""
    return [
        _NEVER if isinstance(field, Hashed) else field.min_count if isinstance(field, Categorical | Tags) else 1
        for field in fields
    ]


def _totals(numbered: DataFrame, n_fields: int) -> tuple[FieldValues, ...]:
    totals = numbered.groupBy("position").agg(
        F.count(F.lit(1)).alias("distinct"), F.count_if(F.col("_rank") == 0).alias("kept")
    )
    sizes = {row["position"]: (row["distinct"], row["kept"]) for row in totals.collect()}  # a row a field
    first_of_rest = F.get(F.array(*[F.lit(sizes.get(at, (0, 0))[1]) for at in range(n_fields)]), F.col("position"))
    best = numbered.where((F.col("index") < _TOP) | (F.col("index") - first_of_rest).between(0, _TOP - 1))
    top: dict[int, list[tuple[str, int]]] = {}
    for row in best.select("position", "value", "count").collect():  # at most twice _TOP a field
        top.setdefault(row["position"], []).append((row["value"], row["count"]))
    found = []
    for at in range(n_fields):
        ordered = sorted(top.get(at, []), key=lambda pair: (-pair[1], pair[0]))
        found.append(FieldValues(*sizes.get(at, (0, 0)), tuple(ordered[:_TOP])))
    return tuple(found)
