"""Looking values up in a feature table, in Spark's Python workers."""

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray


class Vocabulary:
    """The values of one field in the order of their ids."""

    def __init__(self, values: pa.ChunkedArray, ids: NDArray[np.int32]) -> None:
        self._values, self.ids = _index(values), ids

    def positions(self, values: pa.Array) -> NDArray[np.int64]:
        """Where each value stands in `ids`, -1 for a stranger."""
        found: NDArray[np.int64] = self._values.get_indexer(_index(values))
        return found

    def look_up(self, values: pa.Array, unknown_id: int) -> NDArray[np.int32]:
        """The ids of N values, `unknown_id` for nulls and strangers: (N,). Cost: a look-up a distinct value."""
        encoded = values.dictionary_encode()
        of_position = np.append(self.ids, np.int32(unknown_id))  # -1 is the last
        of_index = np.append(of_position[self.positions(encoded.dictionary)], np.int32(unknown_id))
        found: NDArray[np.int32] = of_index[encoded.indices.fill_null(len(of_index) - 1).to_numpy()]
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
    return {name: Vocabulary(part["value"], part["id"].to_numpy()) for name, part in parts.items()}


def _index(values: pa.Array | pa.ChunkedArray) -> "pd.Index[Any]":
    found: pd.Index[Any] = pd.Index(values.to_pandas(), dtype=object)
    return found
