"""Fields that follow from the ids of other fields: crossed and count fields.

They are computed after negatives are drawn, so that a negative's are those of its own item.
"""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import Crossed, FeatureMap, FieldIds, Frequency
from pipelines.contract_checks import check_frame
from pipelines.contracts import COUNT_TABLE

COUNT_BUCKETS = 64
"""Half powers of two up to 2^32."""


def with_crossed(rows: DataFrame, feature_map: FeatureMap) -> DataFrame:
    """Add the ids of the crossed fields. Cost: a hash a row and field."""
    for ids, declared in feature_map.crossed:
        bucket = F.pmod(_key(declared), F.lit(declared.buckets)).cast("int")
        found = F.when(_known(feature_map, declared), F.lit(ids.ranges[0].first) + bucket)
        rows = rows.withColumn(ids.name, F.coalesce(found, F.lit(ids.unknown_id)))
    return rows


def count_combinations(positives: DataFrame, feature_map: FeatureMap) -> DataFrame:
    """Contract `COUNT_TABLE`: how often each combination of ids that a count field counts occurs. One shuffle of them.

    Combinations are told apart by 64-bit hashes of their ids: of n combinations of a field, n^2 / 2^65 share one.
    """
    pairs = [
        F.struct(F.lit(ids.name).alias("field"), _key(declared).alias("key"))
        for ids, declared in feature_map.frequencies
    ]
    counted = positives.select(F.inline(F.array(*pairs))).groupBy("field", "key").agg(F.count(F.lit(1)).alias("count"))
    return check_frame(counted, COUNT_TABLE)


def with_counts(rows: DataFrame, counts: DataFrame | None, feature_map: FeatureMap, own: Column) -> DataFrame:
    """Add ids and x_i of the count fields. Cost: a join for each, broadcast where Spark finds the counts small.

    Args:
        counts: contract `COUNT_TABLE`; None where the map has no count fields.
        own: 1 where a row is one of those counted, and must not count itself, else 0.
    """
    for ids, declared in feature_map.frequencies:
        assert counts is not None
        table = counts.where(F.col("field") == ids.name).select(F.col("key").alias("_key"), F.col("count").alias("_n"))
        joined = rows.withColumn("_key", _key(declared)).join(table, "_key", "left")
        n, known = F.coalesce("_n", F.lit(0)) - own, _known(feature_map, declared)
        joined = joined.withColumn(ids.name, _count_id(ids, declared, n, known))
        if ids.x_column:
            x = F.when(known, F.log1p(n.cast("double"))).otherwise(1.0)
            joined = joined.withColumn(ids.x_column, x.cast("float"))
        rows = joined.drop("_key", "_n")
    return rows


def _count_id(ids: FieldIds, declared: Frequency, n: Column, known: Column) -> Column:
    found = F.lit(ids.ranges[0].first)
    if declared.scale == "buckets":
        half_powers = F.floor(2.0 * F.log2(1.0 + n)).cast("int")
        found = found + F.least(half_powers, F.lit(COUNT_BUCKETS - 1))
    return F.when(known, found).otherwise(F.lit(ids.unknown_id)).cast("int")


def _key(declared: Crossed | Frequency) -> Column:
    return F.xxhash64(*[F.col(name) for name in declared.of])


def _known(feature_map: FeatureMap, declared: Crossed | Frequency) -> Column:
    """Whether every field of the combination has a known value."""
    return reduce(Column.__and__, [F.col(name) != feature_map[name].unknown_id for name in declared.of])
