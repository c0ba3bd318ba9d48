"""The function that scores batches inside Spark's Python workers."""

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import ReplacedBundleError
from pipelines.contracts import MODEL, SCORE
from pipelines.scoring.counting import NightCounts, Tally
from pipelines.scoring.why import Explainer

Batches = Iterable[pa.RecordBatch]


def scorer(
    bundle: Bundle, key_columns: dict[str, str], new_columns: dict[str, str], counts: NightCounts, explain: int = 0
) -> Callable[[Batches], Batches]:
    """What `mapInArrow` runs: encoded rows in, contract `scores` out.

    Args:
        key_columns: the key columns of the output, and where they stand in the input.
        new_columns: by field, where the text of values without an id stands.
        counts: what to add to.
        explain: how many interactions to add a row, 0 for none.
    """
    path, fingerprint = str(bundle.path.absolute()), bundle.fingerprint
    id_columns, x_columns = bundle.feature_map.id_columns, bundle.feature_map.x_columns
    x_of_slots, total, new = bundle.feature_map.x_of_slots, counts.total, counts.new

    def score(batches: Batches) -> Batches:
        torch.set_num_threads(1)  # a task slot is one core
        loaded = load_bundle(path, fingerprint)
        tally, explainer = Tally(loaded), Explainer(loaded, explain) if explain else None
        for batch in batches:
            ids = np.stack([batch.column(name).to_numpy() for name in id_columns], axis=1)
            x = np.empty((len(ids), len(x_columns)), dtype=np.float32)
            for at, name in enumerate(x_columns):
                x[:, at] = batch.column(name).to_numpy()
            start = time.thread_time_ns()
            scores = loaded.predictor.predict_columns(ids, x, x_of_slots)
            tally.add(ids, x, time.thread_time_ns() - start)
            for name, column in new_columns.items():
                tally.add_new(name, batch.column(column))
            columns = {name: batch.column(column) for name, column in key_columns.items()}
            columns[SCORE] = pa.array(scores)
            columns[MODEL] = pa.array([fingerprint]).take(pa.array(np.zeros(len(ids), dtype=np.int32)))
            if explainer:
                columns |= explainer.columns(ids, x)
            yield pa.RecordBatch.from_pydict(columns)
        total.add(tally.total)
        new.add(tally.new)

    return score


@lru_cache(maxsize=1)
def load_bundle(path: str, fingerprint: str) -> Bundle:
    """Once a Python worker and model.

    Raises:
        ReplacedBundleError: the bundle at `path` is no longer the one that the driver looked at.
        BundleError: there is none.
    """
    bundle = read_bundle(Path(path))
    if bundle.fingerprint != fingerprint:
        raise ReplacedBundleError(
            f"{path}: replaced by {bundle.fingerprint} while {fingerprint} was scoring; run the night again"
        )
    return bundle
