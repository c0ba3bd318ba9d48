"""Crossed and frequency fields, which are derived from the ids of other fields.

They are computed after negatives are drawn, so that the values of a negative are those of its own item.
"""

from functools import reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import Crossed, Derived, FeatureMap, FieldIds, Frequency
from afm_core.features.derived_field import COUNT_BUCKETS
from pipelines.contract_checks import check_frame
from pipelines.contracts import COUNT_TABLE
from pipelines.logs.columns import OURS

_KEY, _N = f"{OURS}key", f"{OURS}n"


def with_crossed(rows: DataFrame, feature_map: FeatureMap) -> DataFrame:
    """Add the ids of the crossed fields. Cost: one hash per row and field."""
    crossed = {ids.name: _crossed_id(feature_map, ids, declared) for ids, declared in feature_map.crossed}
    return rows.withColumns(crossed) if crossed else rows


def _crossed_id(feature_map: FeatureMap, ids: FieldIds, declared: Crossed) -> Column:
    bucket = F.pmod(hash_of(declared), F.lit(declared.buckets)).cast("int")
    id_if_known = F.when(is_known(feature_map, declared), F.lit(ids.ranges[0].first) + bucket)
    return F.coalesce(id_if_known, F.lit(ids.unknown_id))


class Counted(NamedTuple):
    """By what a frequency field counts, 1 if a row is counted, else 0."""

    positives: Column
    all: Column

    def by(self, declared: Frequency) -> Column:
        """For one field."""
        return self.all if declared.counted == "all" else self.positives


def nothing_counted() -> Counted:
    """Of rows that are not those of the training split."""
    return Counted(F.lit(0), F.lit(0))


def count_combinations(rows: DataFrame, feature_map: FeatureMap, counted: Counted) -> DataFrame:
    """Contract `COUNT_TABLE`: the number of rows of each combination of ids, for all frequency fields.

    Cost: one shuffle of the combinations. They are identified by 64-bit hashes: of n combinations, n^2 / 2^65 collide.
    """
    pairs = [
        F.when(counted.by(declared) == 1, F.struct(F.lit(ids.name).alias("field"), hash_of(declared).alias("key")))
        for ids, declared in feature_map.frequencies
    ]
    keys = rows.select(F.inline(F.array_compact(F.array(*pairs))))
    return check_frame(keys.groupBy("field", "key").agg(F.count(F.lit(1)).alias("count")), COUNT_TABLE)


def with_counts(rows: DataFrame, counts: DataFrame | None, feature_map: FeatureMap, own: Counted) -> DataFrame:
    """Add ids and x_i of the frequency fields. Cost: one join per field, a broadcast if the count table is small.

    Args:
        counts: contract `COUNT_TABLE`; None if the map has no frequency fields.
        own: the rows that were counted and must not count themselves.
    """
    for ids, declared in feature_map.frequencies:
        assert counts is not None
        table = counts.where(F.col("field") == ids.name).select(F.col("key").alias(_KEY), F.col("count").alias(_N))
        joined = rows.withColumn(_KEY, hash_of(declared)).join(table, _KEY, "left")
        n, known = F.coalesce(_N, F.lit(0)) - own.by(declared), is_known(feature_map, declared)
        joined = joined.withColumn(ids.name, _count_id(ids, declared, n, known))
        if ids.x_column:
            x = F.when(known, F.log1p(n.cast("double"))).otherwise(1.0)
            joined = joined.withColumn(ids.x_column, x.cast("float"))
        rows = joined.drop(_KEY, _N)
    return rows


def _count_id(ids: FieldIds, declared: Frequency, n: Column, known: Column) -> Column:
    id_ = F.lit(ids.ranges[0].first)
    if declared.scale == "buckets":
        half_powers = F.floor(2.0 * F.log2(1.0 + n)).cast("int")
        id_ = id_ + F.least(half_powers, F.lit(COUNT_BUCKETS - 1))
    return F.when(known, id_).otherwise(F.lit(ids.unknown_id)).cast("int")


def hash_of(declared: Derived) -> Column:
    """64-bit hash of the ids of the fields that a derived field is computed from."""
    return F.xxhash64(*[F.col(name) for name in declared.of])


def is_known(feature_map: FeatureMap, declared: Derived) -> Column:
    """Whether every field of the combination has a known value."""
    return reduce(Column.__and__, [F.col(name) != feature_map[name].unknown_id for name in declared.of])
