"""Looking up the ids of values in a feature table."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afm_core.features.feature_table import read_feature_table
from afm_core.storage.paths import to_path

_LOOK_UPS_PER_BUILT_VALUE = 4  # one costs as much as putting so many values into a new hash table


class Vocabulary:
    """The values of one field in the order of their ids."""

    def __init__(self, values: pa.Array, ids: NDArray[np.int32], *, indexed: bool = False) -> None:
        """Keep the values.

        Args:
            indexed: keep a hash table of them, for look-ups of few values at a time. It takes eight times the memory.
        """
        self._values, self.ids = values, ids
        self._position = {value: at for at, value in enumerate(values.to_pylist())} if indexed else {}

    def positions(self, values: pa.Array) -> NDArray[np.int32]:
        """(N,) the position of each value in `ids`, -1 for nulls and unseen values.

        Cost: one hash look-up per value, and per call a hash table at 50 ns per value of the vocabulary; with the kept
        one, where that is cheaper, 200 ns per value looked up.
        """
        if len(values) * _LOOK_UPS_PER_BUILT_VALUE < len(self._position):
            return np.array([self._position.get(value, -1) for value in values.to_pylist()], dtype=np.int32)
        positions: NDArray[np.int32] = pc.index_in(values, value_set=self._values).fill_null(-1).to_numpy()
        return positions

    def look_up(self, values: pa.Array, unknown_id: int) -> NDArray[np.int32]:
        """(N,) the id of each value, `unknown_id` for nulls and unseen values."""
        positions = self.positions(values)
        known = self.ids.take(positions, mode="clip") if len(self.ids) else positions
        return np.where(positions < 0, np.int32(unknown_id), known)


@lru_cache(maxsize=4)
def read_vocabularies(
    features: str, fields: tuple[str, ...], fingerprint: str, *, indexed: bool = False
) -> dict[str, Vocabulary]:
    """The vocabularies of some fields, read once per process and feature map.

    Args:
        features: path of the feature table.
        fingerprint: fingerprint of the map; another map may later be at the same path.
        indexed: see `Vocabulary`.
    """
    del fingerprint
    table = read_feature_table(to_path(features), fields=fields)
    table = table.filter(pc.is_valid(table["value"]))
    field = pc.index_in(table["field"], value_set=pa.array(fields, pa.string())).to_numpy()
    by_field = table.take(pa.array(np.argsort(field, kind="stable")))  # the values of each field by id
    ends = np.searchsorted(np.sort(field), np.arange(len(fields) + 1))
    parts = [by_field.slice(start, end - start) for start, end in pairwise(ends.tolist())]
    return {
        name: Vocabulary(part["value"].combine_chunks(), part["id"].to_numpy(), indexed=indexed)
        for name, part in zip(fields, parts, strict=True)
    }
