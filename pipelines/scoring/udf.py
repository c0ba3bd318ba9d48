"""The function that scores batches inside Spark's Python workers."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.learning.prediction import predict_ids
from pipelines.contracts import MODEL, SCORE

Batches = Iterable[pa.RecordBatch]


def scorer(bundle: Bundle, keys: list[str], key_columns: list[str]) -> Callable[[Batches], Batches]:
    """What `mapInArrow` runs: encoded rows in, contract `scores` out.

    Args:
        keys: names of the key columns in the output.
        key_columns: where they stand in the input.
    """
    path, fingerprint, names = str(bundle.path.absolute()), bundle.fingerprint, bundle.feature_map.names

    def score(batches: Batches) -> Batches:
        torch.set_num_threads(1)  # a task slot is one core
        model = _load(path, fingerprint).model
        for batch in batches:
            ids = np.stack([batch.column(name).to_numpy() for name in names], axis=1)
            columns = {name: batch.column(column) for name, column in zip(keys, key_columns, strict=True)}
            columns[SCORE] = pa.array(predict_ids(model, ids))
            columns[MODEL] = pa.array([fingerprint]).take(pa.array(np.zeros(len(ids), dtype=np.int32)))
            yield pa.RecordBatch.from_pydict(columns)

    return score


@lru_cache(maxsize=1)
def _load(path: str, fingerprint: str) -> Bundle:
    """Once a Python worker and model.

    Raises:
        BundleError: the bundle at `path` is no longer the one that the driver looked at.
    """
    bundle = read_bundle(Path(path))
    if bundle.fingerprint != fingerprint:
        raise BundleError(
            f"{path}: replaced by {bundle.fingerprint} while {fingerprint} was scoring; run the night again"
        )
    return bundle
