"""The rows of a feature table, by kind of field."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.features import FeatureMap, Field, FieldIds, Hashed, Numeric, Scaling
from afm_core.features.feature_map import PADDING_ID
from pipelines.contracts import FEATURE_TABLE
from pipelines.encoding.value_counts import CountedValues
from pipelines.encoding.values import has_vocabulary


def new_values(counted: CountedValues, layout: FeatureMap, sizes: Sequence[int]) -> DataFrame:
    """The new features of the fields with a vocabulary."""
    starts = [
        (position, ids.name, ids.ranges[-1].first, sizes[position])
        for position, ids in enumerate(layout.fields)
        if has_vocabulary(ids.declared) and sizes[position]
    ]
    spark = counted.frame.sparkSession
    first = spark.createDataFrame(starts, "position int, field string, _first int, _size long")
    values = counted.frame.join(F.broadcast(first), "position").where("_rank = 0 AND index < _size")
    return values.select((F.col("_first") + F.col("index")).cast("int").alias("id"), "field", "value", "count")


def known_values(table: DataFrame, fields: Sequence[Field]) -> DataFrame:
    """(position, value, _old) of the values in the map to extend, _old being their id."""
    positions = [(position, field.name) for position, field in enumerate(fields) if has_vocabulary(field)]
    named = table.sparkSession.createDataFrame(positions, "position int, field string")
    known = table.where("value IS NOT NULL").join(F.broadcast(named), "field")
    return known.select("position", "value", F.col("id").alias("_old"))


def old_features(table: DataFrame, counted: CountedValues) -> DataFrame:
    """The features of the map to extend, with their counts in the new logs."""
    counts = counted.frame.where("_old IS NOT NULL").select(F.col("_old").alias("id"), F.col("count").alias("_count"))
    old = table.where("value IS NOT NULL").join(counts, "id", "left")
    count = F.when(F.col("count").isNotNull(), F.coalesce("_count", F.lit(0)))
    return old.withColumn("count", count).drop("_count")


def enumerated(
    spark: SparkSession, layout: FeatureMap, sizes: Sequence[int], counted: CountedValues
) -> list[DataFrame]:
    """The features that the declaration of a field determines: buckets, and the one feature of a number."""
    return list(_enumerated(spark, layout, sizes, counted))


def _enumerated(
    spark: SparkSession, layout: FeatureMap, sizes: Sequence[int], counted: CountedValues
) -> Iterator[DataFrame]:
    for position, ids in enumerate(layout.fields):
        if has_vocabulary(ids.declared) or not sizes[position]:
            continue
        numbered, count = spark.range(sizes[position]), F.lit(None).cast("long")
        if isinstance(ids.declared, Hashed):
            in_use = counted.frame.where(F.col("position") == position)
            counts = in_use.select(F.col("value").cast("long").alias("id"), "count")
            numbered, count = numbered.join(counts, "id", "left"), F.coalesce("count", F.lit(0))
        yield numbered.select(
            (F.lit(ids.ranges[0].first) + F.col("id")).cast("int").alias("id"),
            F.lit(ids.name).alias("field"),
            _bucket_name(ids).alias("value"),
            count.alias("count"),
        )


def _bucket_name(ids: FieldIds) -> Column:
    """The readable value of feature number `id` of a field."""
    if isinstance(ids.declared, Numeric) and ids.declared.scale == "quantiles":
        edges = (ids.scaling or Scaling()).edges
        ends = ["-inf", *map(repr, edges), "inf"]
        names = [f"[{low}, {high})" for low, high in pairwise(ends)]
        return F.get(F.array(*map(F.lit, names)), F.col("id").cast("int"))
    if ids.size == 1:
        return F.lit("x")
    return F.concat(F.lit("#"), F.col("id").cast("string"))


def special_rows(spark: SparkSession, layout: FeatureMap, unknown: Sequence[int | None]) -> DataFrame:
    """The rows of padding and of each field's unknown id, with the number of events that get it, if known."""
    special: list[tuple[int, str | None, str | None, int | None]] = [(PADDING_ID, None, None, 0)]
    special += [(ids.unknown_id, ids.name, None, count) for ids, count in zip(layout.fields, unknown, strict=True)]
    return spark.createDataFrame(special, FEATURE_TABLE.schema)
