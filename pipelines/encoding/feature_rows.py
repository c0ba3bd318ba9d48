"""The rows of a feature table, kind by kind."""

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
        (at, ids.name, ids.ranges[-1].first, sizes[at])
        for at, ids in enumerate(layout.fields)
        if has_vocabulary(ids.declared) and sizes[at]
    ]
    spark = counted.frame.sparkSession
    first = spark.createDataFrame(starts, "position int, field string, _first int, _size long")
    placed = counted.frame.join(F.broadcast(first), "position").where("_rank = 0 AND index < _size")
    return placed.select((F.col("_first") + F.col("index")).cast("int").alias("id"), "field", "value", "count")


def known_values(table: DataFrame, fields: Sequence[Field]) -> DataFrame:
    """(position, value, _old id) of what an older map knows."""
    positions = [(at, field.name) for at, field in enumerate(fields) if has_vocabulary(field)]
    named = table.sparkSession.createDataFrame(positions, "position int, field string")
    known = table.where("value IS NOT NULL").join(F.broadcast(named), "field")
    return known.select("position", "value", F.col("id").alias("_old"))


def old_features(table: DataFrame, counted: CountedValues) -> DataFrame:
    """The features of an older map, counted in the new logs."""
    counts = counted.frame.where("_old IS NOT NULL").select(F.col("_old").alias("id"), F.col("count").alias("_count"))
    old = table.where("value IS NOT NULL").join(counts, "id", "left")
    count = F.when(F.col("count").isNotNull(), F.coalesce("_count", F.lit(0)))
    return old.withColumn("count", count).drop("_count")


def enumerated(
    spark: SparkSession, layout: FeatureMap, sizes: Sequence[int], counted: CountedValues
) -> list[DataFrame]:
    """The features that follow from a field's declaration: buckets, and the one feature of a number."""
    return list(_enumerated(spark, layout, sizes, counted))


def _enumerated(
    spark: SparkSession, layout: FeatureMap, sizes: Sequence[int], counted: CountedValues
) -> Iterator[DataFrame]:
    for at, ids in enumerate(layout.fields):
        if has_vocabulary(ids.declared) or not sizes[at]:
            continue
        numbered, count = spark.range(sizes[at]), F.lit(None).cast("long")
        if isinstance(ids.declared, Hashed):
            in_use = counted.frame.where(F.col("position") == at)
            counts = in_use.select(F.col("value").cast("long").alias("id"), "count")
            numbered, count = numbered.join(counts, "id", "left"), F.coalesce("count", F.lit(0))
        yield numbered.select(
            (F.lit(ids.ranges[0].first) + F.col("id")).cast("int").alias("id"),
            F.lit(ids.name).alias("field"),
            _name_of_bucket(ids).alias("value"),
            count.alias("count"),
        )


def _name_of_bucket(ids: FieldIds) -> Column:
    """What a person reads for feature number `id`."""
    if isinstance(ids.declared, Numeric) and ids.declared.scale == "quantiles":
        edges = (ids.scaling or Scaling()).edges
        ends = ["-inf", *map(repr, edges), "inf"]
        names = [f"[{low}, {high})" for low, high in pairwise(ends)]
        return F.get(F.array(*map(F.lit, names)), F.col("id").cast("int"))
    if ids.size == 1:
        return F.lit("x")
    return F.concat(F.lit("#"), F.col("id").cast("string"))


def special_rows(spark: SparkSession, layout: FeatureMap, unknown: Sequence[int | None]) -> DataFrame:
    """The rows of padding and of each field's unknown id, counted as the logs that get it, where that is known."""
    special: list[tuple[int, str | None, str | None, int | None]] = [(PADDING_ID, None, None, 0)]
    special += [(ids.unknown_id, ids.name, None, count) for ids, count in zip(layout.fields, unknown, strict=True)]
    return spark.createDataFrame(special, FEATURE_TABLE.schema)
