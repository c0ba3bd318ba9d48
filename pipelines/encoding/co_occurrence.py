"""Co-occurrence fields: how often the item of a row occurs together with the other items of its user.

Spark counts the items of users and the pairs of items; numpy looks the counts up in Spark's Python workers, because a
row needs as many pairs as its user has items. This follows the drawing of negatives, so that the value of a negative is
that of its own item.
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
from afm_core.storage.paths import open_for_reading, to_path
from pipelines.contract_checks import check_frame
from pipelines.contracts import PAIR_TABLE
from pipelines.encoding.derived import COUNT_BUCKETS
from pipelines.logs.columns import OURS
from pipelines.spark import Batches, map_in_arrow

HISTORY = 256
"""Number of items of a user that are used, the most frequent. It bounds the work for users with very many items."""
PER_MILLE, SMOOTHING = 1000.0, 5.0
_OWN = f"{OURS}own"
_HAS, _TOGETHER = "has", "together"

Ids = NDArray[np.int32]
Numbers = NDArray[np.int64]


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
    parts = [has.withColumn("relation", F.lit(_HAS)), together.withColumn("relation", F.lit(_TOGETHER))]
    pairs = reduce(DataFrame.unionByName, parts).withColumn("of", F.lit(_pair_name(user, item)))
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
                counted = _read_pairs(pairs, _pair_name(*declared.of), feature_map.fingerprint)
                strength = counted.co_occurrence(user, item, own, declared)
                columns |= _as_columns(ids, declared, strength, known)
            yield pa.RecordBatch.from_pydict(columns)

    return encode


def _as_columns(
    ids: FieldIds, declared: CoOccurrence, strength: NDArray[np.float64], known: NDArray[np.bool_]
) -> dict[str, pa.Array]:
    first = ids.ranges[0].first
    if declared.scale == "log1p":
        x = np.where(known, np.log1p(strength), 1.0).astype(np.float32)
        return {
            ids.name: pa.array(np.where(known, first, ids.unknown_id).astype(np.int32)),
            str(ids.x_column): pa.array(x),
        }
    half_powers = np.minimum(np.floor(2.0 * np.log2(1.0 + strength)), COUNT_BUCKETS - 1)
    return {ids.name: pa.array(np.where(known, first + half_powers, ids.unknown_id).astype(np.int32))}


class PairCounts:
    """The items of each user, and the number of users of each pair of items, as sorted arrays."""

    def __init__(self, table: pa.Table) -> None:
        """Cost: 12 bytes per pair.

        Args:
            table: relation, left, right and count of contract `PAIR_TABLE`, sorted.
        """
        relation = table["relation"].to_numpy()
        has, together = (table.filter(pa.array(relation == name)) for name in (_HAS, _TOGETHER))
        self._users, first = np.unique(has["left"].to_numpy(), return_index=True)
        self._ends = np.append(first, has.num_rows)
        self._items, self._events = has["right"].to_numpy(), has["count"].to_numpy()
        left, right, both = (together[name].to_numpy() for name in ("left", "right", "count"))
        self._users_of_pair, self._pair_keys = both.astype(np.int32), _pair_key(left, right)
        is_diagonal = left == right
        self._known_items, self._users_of_item = left[is_diagonal], both[is_diagonal]

    def co_occurrence(
        self, user: Ids, item: Ids, own: NDArray[np.bool_], declared: CoOccurrence
    ) -> NDArray[np.float64]:
        """(N,) sum or maximum, over the other items of the user, of the share of their users who have this item.

        In users per thousand; 0 if the user or the item is unknown.

        Args:
            user, item: (N,) ids.
            own: (N,) whether a row was counted itself.
        """
        row, entry = self._histories(user)
        is_self = self._items[entry] == item[row]
        is_only_event = np.zeros(len(user), dtype=bool)  # the user has had the item in no other event
        is_only_event[row[is_self]] = self._events[entry[is_self]] == 1
        row, other = row[~is_self], self._items[entry[~is_self]]
        both = self._users_of_both(item[row], other) - (is_only_event & own)[row]
        share = PER_MILLE * both / (self._users_of_item[np.searchsorted(self._known_items, other)] + SMOOTHING)
        strength = np.zeros(len(user))
        (np.add if declared.aggregation == "sum" else np.maximum).at(strength, row, share)
        return strength

    def _histories(self, user: Ids) -> tuple[Numbers, Numbers]:
        """For every item of the user of each row: the row, and the index of the item in `_items`."""
        position = np.searchsorted(self._users, user)
        position[position == len(self._users)] = 0
        has_any = self._users[position] == user if len(self._users) else np.zeros(len(user), dtype=bool)
        position = position[has_any]
        first, length = self._ends[position], self._ends[position + 1] - self._ends[position]
        row = np.repeat(np.flatnonzero(has_any), length)
        start = np.repeat(first - (np.cumsum(length) - length), length)
        return row, np.arange(len(row)) + start

    def _users_of_both(self, item: Ids, other: Ids) -> Numbers:
        """(N,) number of users who have both items."""
        if not len(self._pair_keys):
            return np.zeros(len(item), dtype=np.int64)
        keys = _pair_key(item, other)
        position = np.minimum(np.searchsorted(self._pair_keys, keys), len(self._pair_keys) - 1)
        return np.where(self._pair_keys[position] == keys, self._users_of_pair[position], 0).astype(np.int64)


def _pair_key(left: Ids, right: Ids) -> Numbers:
    return (left.astype(np.int64) << 32) | right


def _pair_name(user: str, item: str) -> str:
    return f"{user},{item}"


@lru_cache(maxsize=8)
def _read_pairs(path: str, of: str, fingerprint: str) -> PairCounts:
    """Read the pairs of two fields, once per Python worker and feature map."""
    del fingerprint  # only part of the cache key: another map may later be at the same path
    with open_for_reading(to_path(path)) as file:
        return PairCounts(pq.read_table(file, columns=PAIR_TABLE.names[1:], filters=[("of", "=", of)]))
