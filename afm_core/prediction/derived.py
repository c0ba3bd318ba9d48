"""Fields that are derived from the ids of others, as `pipelines.encoding` computes them for a night."""

import math
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from afm_core.encoding.pair_counts import encode_co_occurrence, read_pairs
from afm_core.features import CoOccurrence, Crossed, Derived, FeatureMap, FieldIds, Frequency, TargetRate
from afm_core.features.derived_field import COUNT_BUCKETS
from afm_core.features.feature_map import COUNTS_FILE, PAIRS_FILE, RATES_FILE
from afm_core.prediction.hashes import hash_of_ids
from afm_core.storage.paths import open_for_reading

Ids = NDArray[np.int32]
X = NDArray[np.float32]


class KeyedNumbers:
    """A number for each 64-bit key of a field."""

    def __init__(self, keys: NDArray[np.int64], numbers: NDArray[np.float64]) -> None:
        order = np.argsort(keys)
        self._keys, self._numbers = keys[order], numbers[order]

    def look_up(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N,) the numbers of N keys, 0 for those without one."""
        if not len(self._keys):
            return np.zeros(len(keys))
        position = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[position] == keys, self._numbers[position], 0.0)


class DerivedFields:
    """The derived fields of a feature map, with their tables in memory."""

    def __init__(self, feature_map: FeatureMap, folder: Path) -> None:
        """Read the tables of the map from a bundle's folder."""
        self._map = feature_map
        self._pairs = {
            declared.of: read_pairs(str(folder / PAIRS_FILE), declared.of, feature_map.fingerprint)
            for _, declared in feature_map.co_occurrences
        }
        self._counts = _read(folder / COUNTS_FILE, "count") if feature_map.frequencies else {}
        self._rates = _read(folder / RATES_FILE, "log_odds") if feature_map.target_rates else {}

    def encode(self, ids: FieldIds, declared: Derived, of: list[Ids]) -> tuple[Ids, X | None]:
        """The ids (N,), and x_i (N,) where the field has one.

        Args:
            of: (N,) the ids of each field that it is derived from.
        """
        unknown = [self._map[name].unknown_id for name in declared.of]
        known = reduce(np.logical_and, [column != id_ for column, id_ in zip(of, unknown, strict=True)])
        match declared:
            case Crossed():
                bucket = hash_of_ids(of) % declared.buckets
                return _ids(ids, known, bucket), None
            case Frequency():
                n = self._counts.get(ids.name, _NOTHING).look_up(hash_of_ids(of))
                if declared.scale == "log1p":
                    return _ids(ids, known, 0), _x(known, np.log1p(n))
                half_powers = np.floor(2.0 * (np.log(1.0 + n) / math.log(2.0)))
                return _ids(ids, known, np.minimum(half_powers, COUNT_BUCKETS - 1)), None
            case CoOccurrence():
                not_counted = np.zeros(len(known), dtype=bool)
                strength = self._pairs[declared.of].co_occurrence(of[0], of[1], not_counted, declared)
                return encode_co_occurrence(ids, declared, strength, known)
            case TargetRate():
                value = self._rates.get(ids.name, _NOTHING).look_up(hash_of_ids(of))
                if declared.scale == "log_odds":
                    return _ids(ids, known, 0), _x(known, value)
                half_powers = np.floor(value * (2.0 / math.log(2.0))) + COUNT_BUCKETS // 2
                return _ids(ids, known, np.clip(half_powers, 0, COUNT_BUCKETS - 1)), None


_NOTHING = KeyedNumbers(np.empty(0, dtype=np.int64), np.empty(0))


def _read(path: Path, column: str) -> dict[str, KeyedNumbers]:
    """By field."""
    with open_for_reading(path) as file:
        table = pq.read_table(file, columns=["field", "key", column])
    fields = table["field"].to_numpy()
    keys, numbers = table["key"].to_numpy(), table[column].cast(pa.float64()).to_numpy()
    return {str(name): KeyedNumbers(keys[fields == name], numbers[fields == name]) for name in np.unique(fields)}


def _ids(ids: FieldIds, known: NDArray[np.bool_], number: NDArray[np.float64] | NDArray[np.int64] | int) -> Ids:
    return np.where(known, ids.ranges[0].first + number, ids.unknown_id).astype(np.int32)


def _x(known: NDArray[np.bool_], value: NDArray[np.float64]) -> X:
    return np.where(known, value, 1.0).astype(np.float32)
