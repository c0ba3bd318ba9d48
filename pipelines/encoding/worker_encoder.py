"""The half of the encoder that runs in Spark's Python workers.

When a night is scored, Spark leaves the fields of `looked_up_in_workers` as text, and the workers that score look them
up. Preparation, and fields that others are derived from, take a pass of their own (`worker_look_up`). Both take the
text of a value from `pipelines.encoding.values` and the ids from the same vocabularies.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from afm_core.encoding.vocabulary import read_vocabularies
from afm_core.features import FeatureMap, FieldIds, Tags
from pipelines.encoding.vocabulary import held_in_workers


def looked_up_in_workers(feature_map: FeatureMap) -> tuple[FieldIds, ...]:
    """Fields with one value per event, a vocabulary small enough for every worker, and no field derived from them."""
    wanted = held_in_workers(feature_map) - feature_map.derived_from
    return tuple(ids for ids in feature_map.fields if ids.name in wanted and not isinstance(ids.declared, Tags))


class WorkerEncoder:
    """Completes the encoding of batches: looks up the fields that Spark left as text."""

    def __init__(self, feature_map: FeatureMap, features: Path, texts: tuple[str, ...]) -> None:
        """Read the vocabularies.

        Args:
            features: the feature table.
            texts: the fields whose column holds the text of their value.
        """
        self._map, self._texts = feature_map, texts
        self._unknown = {ids.name: ids.unknown_id for ids in feature_map.fields}
        self._vocabularies = read_vocabularies(str(features.absolute()), texts, feature_map.fingerprint)
        self._columns = {name: position for position, name in enumerate(feature_map.id_columns)}

    def encode(self, batch: pa.RecordBatch) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The ids (N, F) and the columns of x_i (N, X) of a batch of N rows."""
        ids = np.empty((batch.num_rows, len(self._columns)), dtype=np.int32)
        for name, position in self._columns.items():
            ids[:, position] = self._ids(name, batch.column(name))
        x = np.empty((batch.num_rows, len(self._map.x_columns)), dtype=np.float32)
        for position, name in enumerate(self._map.x_columns):
            x[:, position] = batch.column(name).to_numpy()
        return ids, x

    def unseen_texts(self, batch: pa.RecordBatch, ids: NDArray[np.int32]) -> dict[str, pa.Array]:
        """By field, the text of the values that got the unknown id; null where the value is missing."""
        return {
            name: batch.column(name).filter(pa.array(ids[:, self._columns[name]] == self._unknown[name]))
            for name in self._texts
        }

    def _ids(self, name: str, column: pa.Array) -> NDArray[np.int32]:
        vocabulary = self._vocabularies.get(name)
        if vocabulary is None:
            encoded: NDArray[np.int32] = column.to_numpy()
            return encoded
        return vocabulary.look_up(column, self._unknown[name])
