"""Co-occurrence fields: how often the item of a row occurs together with the other items of its user.

Spark counts the items of users and the pairs of items; numpy looks the counts up in Spark's Python workers, because a
row needs as many pairs as its user has items. This follows the drawing of negatives, so that the value of a negative is
that of its own item.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType, IntegerType, StructField, StructType

from afm_core.encoding.pair_counts import HAS, TOGETHER, encode_co_occurrence, pair_name, read_pairs
from afm_core.features import FeatureMap
from pipelines.contract_checks import check_frame
from pipelines.contracts import PAIR_TABLE
from pipelines.logs.columns import OURS
from pipelines.spark import Batches, map_in_arrow

HISTORY = 256
"""Number of items of a user that are used, the most frequent. It bounds the work for users with very many items."""
_OWN = f"{OURS}own"


def count_pairs(positives: DataFrame, feature_map: FeatureMap) -> DataFrame:
    """Contract `PAIR_TABLE`. Cost: a shuffle of the rows and of the pairs of items, at most H^2 / 2 per user.

    Unknown values are left out, because their id stands for many of them.
    """
    distinct = {declared.of: None for _, declared in feature_map.co_occurrences}
    return reduce(DataFrame.unionByName, [_pairs_of(positives, feature_map, *of) for of in distinct])


def _pairs_of(positives: DataFrame, feature_map: FeatureMap, user: str, item: str) -> DataFrame:
    known = reduce(Column.__and__, [F.col(name) != feature_map[name].unknown_id for name in (user, item)])
    counted = positives.where(known).groupBy(F.col(user).alias("left"), F.col(item).alias("right"))
    most_frequent = Window.partitionBy("left").orderBy(F.desc("count"), "right")
    has = counted.agg(F.count(F.lit(1)).alias("count")).withColumn("_rank", F.row_number().over(most_frequent))
    has = has.where(F.col("_rank") <= HISTORY).select("left", "right", "count")
    left_items, right_items = (
        has.select(F.col("left").alias("_user"), F.col("right").alias(name)) for name in ("left", "right")
    )
    together = left_items.join(right_items, "_user").groupBy("left", "right").agg(F.count(F.lit(1)).alias("count"))
    parts = [has.withColumn("relation", F.lit(HAS)), together.withColumn("relation", F.lit(TOGETHER))]
    pairs = reduce(DataFrame.unionByName, parts).withColumn("of", F.lit(pair_name(user, item)))
    return check_frame(pairs, PAIR_TABLE)


def with_co_occurrences(rows: DataFrame, pairs: Path, feature_map: FeatureMap, own: Column) -> DataFrame:
    """Add ids and x_i of the co-occurrence fields. Cost: rows pass through Python once; each worker holds the pairs.

    Args:
        pairs: path of contract `PAIR_TABLE`, which every executor can read.
        own: 1 if a row is among the counted positives and must not count itself, else 0.
    """
    if not feature_map.co_occurrences:
        return rows
    added = [
        StructField(name, kind, nullable=False)
        for ids, _ in feature_map.co_occurrences
        for name, kind in [(ids.name, IntegerType()), *([(ids.x_column, FloatType())] if ids.x_column else [])]
    ]
    encoder = _encoder(feature_map, str(pairs))
    return map_in_arrow(rows.withColumn(_OWN, own), encoder, StructType([*rows.schema, *added]))


def _encoder(feature_map: FeatureMap, pairs: str) -> Callable[[Batches], Batches]:
    def encode(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = {name: batch.column(name) for name in batch.schema.names if name != _OWN}
            own = batch.column(_OWN).to_numpy() > 0
            for ids, declared in feature_map.co_occurrences:
                user, item = (batch.column(name).to_numpy() for name in declared.of)
                unknown = [feature_map[name].unknown_id for name in declared.of]
                known = (user != unknown[0]) & (item != unknown[1])
                counted = read_pairs(pairs, declared.of, feature_map.fingerprint)
                strength = counted.co_occurrence(user, item, own, declared)
                encoded, x = encode_co_occurrence(ids, declared, strength, known)
                columns[ids.name] = pa.array(encoded)
                if x is not None:
                    columns[str(ids.x_column)] = pa.array(x)
            yield pa.RecordBatch.from_pydict(columns)

    return encode
