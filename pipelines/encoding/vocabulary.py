"""Looking values up in a feature table, in Spark's Python workers."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray


class Vocabulary:
    """The values of one field in the order of their ids."""

    def __init__(self, values: pa.Array, ids: NDArray[np.int32]) -> None:
        self._values, self.ids = values, ids

    def positions(self, values: pa.Array) -> NDArray[np.int32]:
        """Where each value stands in `ids`, -1 for nulls and strangers.

        Cost: a look-up a value, and each time the table to look it up in, 50 ns a value of the vocabulary. One that is
        kept, pandas' index, costs less only from a few hundred thousand on, and eight times the memory.
        """
        found: NDArray[np.int32] = pc.index_in(values, value_set=self._values).fill_null(-1).to_numpy()
        return found

    def look_up(self, values: pa.Array, unknown_id: int) -> NDArray[np.int32]:
        """The ids of N values, `unknown_id` for nulls and strangers: (N,)."""
        found: NDArray[np.int32] = np.append(self.ids, np.int32(unknown_id))[self.positions(values)]  # -1 is the last
        return found


@lru_cache(maxsize=4)
def read_vocabularies(features: str, fields: tuple[str, ...], fingerprint: str) -> dict[str, Vocabulary]:
    """The vocabularies of some fields, once a Python worker and map.

    Args:
        features: path of the feature table.
        fingerprint: of the map; another may come to lie at the same path.
    """
    del fingerprint
    table = pq.read_table(features, columns=["id", "field", "value"], filters=[("field", "in", fields)])
    table = table.filter(pc.is_valid(table["value"])).sort_by("id")
    parts = {name: table.filter(pc.equal(table["field"], name)) for name in fields}
    return {name: Vocabulary(part["value"].combine_chunks(), part["id"].to_numpy()) for name, part in parts.items()}
