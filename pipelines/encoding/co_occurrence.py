"""Affinity fields: how well an item goes with what its user has had otherwise.

Spark counts who has what and what is had together; numpy looks it up in Spark's Python workers, because a row meets as
many pairs as its user has items. It is done after negatives are drawn, so that a negative's is that of its own item.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType, IntegerType, StructField, StructType

from afm_core.features import CoOccurrence, FeatureMap, FieldIds
from pipelines.contract_checks import check_frame
from pipelines.contracts import PAIR_TABLE
from pipelines.encoding.derived import COUNT_BUCKETS
from pipelines.spark import Batches, map_in_arrow

HISTORY = 256
"""Items of a user that count, the most frequent; it bounds the work for a robot, which has everything."""
PER_MILLE, DOUBT = 1000.0, 5.0
_OWN = "_own"
_HAS, _TOGETHER = "has", "together"

Ids = NDArray[np.int32]
Numbers = NDArray[np.int64]


def count_pairs(positives: DataFrame, feature_map: FeatureMap) -> DataFrame:
    """Contract `PAIR_TABLE`. Cost: a shuffle of the rows and of the pairs of items, at most H^2 / 2 per user.

    Values without an id of their own are left out: they are many.
    """
    distinct = {declared.of: None for _, declared in feature_map.co_occurrences}
    return reduce(DataFrame.unionByName, [_pairs_of(positives, feature_map, *of) for of in distinct])


def _pairs_of(positives: DataFrame, feature_map: FeatureMap, user: str, item: str) -> DataFrame:
    known = reduce(Column.__and__, [F.col(name) != feature_map[name].unknown_id for name in (user, item)])
    counted = positives.where(known).groupBy(F.col(user).alias("left"), F.col(item).alias("right"))
    most_frequent = Window.partitionBy("left").orderBy(F.desc("count"), "right")
    has = counted.agg(F.count(F.lit(1)).alias("count")).withColumn("_rank", F.row_number().over(most_frequent))
    has = has.where(F.col("_rank") <= HISTORY).select("left", "right", "count")
    one, other = (has.select(F.col("left").alias("_user"), F.col("right").alias(name)) for name in ("left", "right"))
    together = one.join(other, "_user").groupBy("left", "right").agg(F.count(F.lit(1)).alias("count"))
    parts = [has.withColumn("relation", F.lit(_HAS)), together.withColumn("relation", F.lit(_TOGETHER))]
    return check_frame(reduce(DataFrame.unionByName, parts).withColumn("of", F.lit(_named(user, item))), PAIR_TABLE)


def with_co_occurrences(rows: DataFrame, pairs: Path, feature_map: FeatureMap, own: Column) -> DataFrame:
    """Add ids and x_i of the affinity fields. Cost: rows pass through Python once; each worker holds the pairs.

    Args:
        pairs: contract `PAIR_TABLE`, where every executor can read it.
        own: 1 where a row is one of the positives that were paired up, and must not count itself, else 0.
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
                found = _pairs(pairs, _named(*declared.of), feature_map.fingerprint).affinity(user, item, own, declared)
                columns |= _as_columns(ids, declared, found, known)
            yield pa.RecordBatch.from_pydict(columns)

    return encode


def _as_columns(
    ids: FieldIds, declared: CoOccurrence, found: NDArray[np.float64], known: NDArray[np.bool_]
) -> dict[str, pa.Array]:
    first = ids.ranges[0].first
    if declared.scale == "log1p":
        x = np.where(known, np.log1p(found), 1.0).astype(np.float32)
        return {
            ids.name: pa.array(np.where(known, first, ids.unknown_id).astype(np.int32)),
            str(ids.x_column): pa.array(x),
        }
    half_powers = np.minimum(np.floor(2.0 * np.log2(1.0 + found)), COUNT_BUCKETS - 1)
    return {ids.name: pa.array(np.where(known, first + half_powers, ids.unknown_id).astype(np.int32))}


class Pairs:
    """Who has what, and how many have two items together, as sorted arrays."""

    def __init__(self, table: pa.Table) -> None:
        """Cost: 12 bytes a pair.

        Args:
            table: relation, left, right and count of contract `PAIR_TABLE`, sorted.
        """
        relation = table["relation"].to_numpy()
        has, together = (table.filter(pa.array(relation == name)) for name in (_HAS, _TOGETHER))
        self._users, first = np.unique(has["left"].to_numpy(), return_index=True)
        self._ends = np.append(first, has.num_rows)
        self._items, self._times = has["right"].to_numpy(), has["count"].to_numpy()
        left, right, both = (together[name].to_numpy() for name in ("left", "right", "count"))
        self._both, self._keys = both.astype(np.int32), _key(left, right)
        alone = left == right
        self._owned, self._owners = left[alone], both[alone]

    def affinity(self, user: Ids, item: Ids, own: NDArray[np.bool_], declared: CoOccurrence) -> NDArray[np.float64]:
        """What the field says of each row, (N,); 0 where nothing is known of its user or item.

        Args:
            user, item: (N,) ids.
            own: (N,) whether a row is one of those that were counted.
        """
        row, at = self._histories(user)
        is_self = self._items[at] == item[row]
        alone = np.zeros(len(user), dtype=bool)  # the row is the only one in which its user has its item
        alone[row[is_self]] = self._times[at[is_self]] == 1
        row, other = row[~is_self], self._items[at[~is_self]]
        both = self._counted_together(item[row], other) - (alone & own)[row]
        share = PER_MILLE * both / (self._owners[np.searchsorted(self._owned, other)] + DOUBT)
        found = np.zeros(len(user))
        (np.add if declared.aggregation == "sum" else np.maximum).at(found, row, share)
        return found

    def _histories(self, user: Ids) -> tuple[Numbers, Numbers]:
        """The row, and the place among all users' items, of every item that the user of a row has."""
        place = np.searchsorted(self._users, user)
        place[place == len(self._users)] = 0
        has_any = self._users[place] == user if len(self._users) else np.zeros(len(user), dtype=bool)
        place = place[has_any]
        first, length = self._ends[place], self._ends[place + 1] - self._ends[place]
        row = np.repeat(np.flatnonzero(has_any), length)
        start = np.repeat(first - (np.cumsum(length) - length), length)
        return row, np.arange(len(row)) + start

    def _counted_together(self, item: Ids, other: Ids) -> Numbers:
        """How many users have both; 0 where nobody has."""
        if not len(self._keys):
            return np.zeros(len(item), dtype=np.int64)
        keys = _key(item, other)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[place] == keys, self._both[place], 0).astype(np.int64)


def _key(left: Ids, right: Ids) -> Numbers:
    return (left.astype(np.int64) << 32) | right


def _named(user: str, item: str) -> str:
    return f"{user},{item}"


@lru_cache(maxsize=8)
def _pairs(path: str, of: str, fingerprint: str) -> Pairs:
    """Once a Python worker, pair of fields and map."""
    del fingerprint  # part of the cache's key: another map may come to lie at the same path
    return Pairs(pq.read_table(path, columns=PAIR_TABLE.names[1:], filters=[("of", "=", of)]))
