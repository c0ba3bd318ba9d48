"""How often items occur together: what co-occurrence fields look up."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from afm_core.features import CoOccurrence, FieldIds
from afm_core.features.derived_field import COUNT_BUCKETS
from afm_core.storage.paths import open_for_reading, to_path

HAS, TOGETHER = "has", "together"
"""Relations of the pair table: of users with items, and of items with items."""
_PER_MILLE, _SMOOTHING = 1000.0, 5.0

Ids = NDArray[np.int32]
Numbers = NDArray[np.int64]


class PairCounts:
    """The items of each user, and the number of users of each pair of items, as sorted arrays."""

    def __init__(self, table: pa.Table) -> None:
        """Cost: 12 bytes per pair.

        Args:
            table: relation, left, right and count of contract `PAIR_TABLE`, sorted.
        """
        relation = table["relation"].to_numpy()
        has, together = (table.filter(pa.array(relation == name)) for name in (HAS, TOGETHER))
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
        share = _PER_MILLE * both / (self._users_of_item[np.searchsorted(self._known_items, other)] + _SMOOTHING)
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


def pair_name(user: str, item: str) -> str:
    """The name of two fields in the pair table."""
    return f"{user},{item}"


@lru_cache(maxsize=8)
def read_pairs(path: str, of: tuple[str, str], fingerprint: str) -> PairCounts:
    """Read the pairs of two fields, once per process and feature map."""
    del fingerprint  # only part of the cache key: another map may later be at the same path
    columns = ["relation", "left", "right", "count"]
    with open_for_reading(to_path(path)) as file:
        return PairCounts(pq.read_table(file, columns=columns, filters=[("of", "=", pair_name(*of))]))


def encode_co_occurrence(
    ids: FieldIds, declared: CoOccurrence, strength: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[Ids, NDArray[np.float32] | None]:
    """The ids (N,), and x_i (N,) where the field has one, of a co-occurrence field.

    Args:
        strength: (N,) what `PairCounts.co_occurrence` returns.
        known: (N,) whether user and item are known.
    """
    first = ids.ranges[0].first
    if declared.scale == "log1p":
        x = np.where(known, np.log1p(strength), 1.0).astype(np.float32)
        return np.where(known, first, ids.unknown_id).astype(np.int32), x
    half_powers = np.minimum(np.floor(2.0 * np.log2(1.0 + strength)), COUNT_BUCKETS - 1)
    return np.where(known, first + half_powers, ids.unknown_id).astype(np.int32), None
