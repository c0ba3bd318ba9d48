"""The rows of a feature table, by kind of field."""

from collections.abc import Sequence
from itertools import pairwise

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.features import FeatureMap, Field, FieldIds, Hashed, Numeric, Scaling, has_vocabulary
from afm_core.features.feature_map import PADDING_ID
from pipelines.contracts import FEATURE_TABLE
from pipelines.encoding.indexing import INDEX
from pipelines.encoding.value_counts import CountedValues

_PIECE = 1 << 16
"""Features of a field that one row of a plan stands for; a hashed field may have a hundred million."""


def new_values(counted: CountedValues, layout: FeatureMap, sizes: Sequence[int]) -> DataFrame:
    """The new features of the fields with a vocabulary."""
    starts = [
        (position, ids.name, ids.ranges[-1].first, sizes[position])
        for position, ids in enumerate(layout.fields)
        if has_vocabulary(ids.declared) and sizes[position]
    ]
    spark = counted.frame.sparkSession
    first = spark.createDataFrame(starts, "position int, field string, _first int, _size long")
    values = counted.frame.join(F.broadcast(first), "position").where(
        (F.col("_rank") == 0) & (F.col(INDEX) < F.col("_size"))
    )
    return values.select((F.col("_first") + F.col(INDEX)).cast("int").alias("id"), "field", "value", "count")


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


def enumerated(spark: SparkSession, layout: FeatureMap, sizes: Sequence[int], counted: CountedValues) -> DataFrame:
    """The features that the declaration of a field determines: buckets, and the one feature of a number.

    One table for all fields: a union of one for each would be analysed anew with each field.
    """
    pieces = [
        (position, ids.name, ids.ranges[0].first, start, min(start + _PIECE, sizes[position]) - 1, _names(ids), counts)
        for position, ids in enumerate(layout.fields)
        if not has_vocabulary(ids.declared)
        for counts in [isinstance(ids.declared, Hashed)]
        for start in range(0, sizes[position], _PIECE)
    ]
    declared = spark.createDataFrame(
        pieces, "position int, field string, _first int, _start int, _last int, _names array<string>, _counts boolean"
    )
    numbered = declared.withColumn("_number", F.explode(F.sequence("_start", "_last")))
    numbered = numbered.withColumn("_bucket", F.when(F.col("_counts"), F.col("_number").cast("string")))
    in_use = counted.frame.select("position", F.col("value").alias("_bucket"), "count")
    name = F.coalesce(F.get("_names", "_number"), F.concat(F.lit("#"), F.col("_number").cast("string")))
    return numbered.join(in_use, ["position", "_bucket"], "left").select(
        (F.col("_first") + F.col("_number")).cast("int").alias("id"),
        "field",
        name.alias("value"),
        F.when(F.col("_counts"), F.coalesce("count", F.lit(0))).alias("count"),
    )


def _names(ids: FieldIds) -> list[str] | None:
    """The readable values of the features of a field; None where they are numbered."""
    if isinstance(ids.declared, Numeric) and ids.declared.scale == "quantiles":
        ends = ["-inf", *map(repr, (ids.scaling or Scaling()).edges), "inf"]
        return [f"[{low}, {high})" for low, high in pairwise(ends)]
    return ["x"] if ids.size == 1 else None


def special_rows(spark: SparkSession, layout: FeatureMap, unknown: Sequence[int | None]) -> DataFrame:
    """The rows of padding and of each field's unknown id, with the number of events that get it, if known."""
    special: list[tuple[int, str | None, str | None, int | None]] = [(PADDING_ID, None, None, 0)]
    special += [(ids.unknown_id, ids.name, None, count) for ids, count in zip(layout.fields, unknown, strict=True)]
    return spark.createDataFrame(special, FEATURE_TABLE.schema)
