"""The function that scores batches inside Spark's Python workers."""

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import ReplacedBundleError
from pipelines.contracts import MODEL, SCORE
from pipelines.encoding.vocabulary import read_vocabularies
from pipelines.scoring.worker.explanations import RowExplainer
from pipelines.scoring.worker.input_rows import IS_REJECTED, WorkerColumns
from pipelines.scoring.worker.task_counters import NightCounters, TaskCounters
from pipelines.spark import Batches


def scorer(
    bundle: Bundle, columns: WorkerColumns, counts: NightCounters, explain: int = 0
) -> Callable[[Batches], Batches]:
    """What `mapInArrow` runs: `rows_to_score` in, contract `scores` out, of the rows that are not rejected.

    Args:
        columns: what stands where.
        counts: what to add to.
        explain: how many interactions to add a row, 0 for none.
    """
    path, fingerprint = str(bundle.path.absolute()), bundle.fingerprint
    total, new, filled = counts.total, counts.new, counts.filled

    def score(batches: Batches) -> Batches:
        torch.set_num_threads(1)  # a task slot is one core
        loaded = load_bundle(path, fingerprint)
        encoder, tally = WorkerEncoder(loaded, columns), TaskCounters(loaded, filled)
        explainer = RowExplainer(loaded, explain) if explain else None
        for batch in batches:
            tally.add_rows(batch.num_rows)
            accepted = _without_rejected(batch)
            if not accepted.num_rows:
                continue
            ids, x = encoder.encode(accepted)
            start = time.thread_time_ns()
            scores = loaded.scorer.columns(ids, x)
            tally.add(ids, x, time.thread_time_ns() - start)
            for name, column in columns.given.items():
                tally.add_given(name, accepted.column(column))
            for name, values in encoder.new_values(accepted, ids).items():
                tally.add_new(name, values)
            found = {name: accepted.column(column) for name, column in columns.keys.items()}
            found[SCORE] = pa.array(scores)
            found[MODEL] = pa.array([fingerprint]).take(pa.array(np.zeros(len(ids), dtype=np.int32)))
            if explainer:
                found |= explainer.columns(ids, x)
            yield pa.RecordBatch.from_pydict(found)
        total.add(tally.total)
        new.add(tally.new)

    return score


def _without_rejected(batch: pa.RecordBatch) -> pa.RecordBatch:
    rejected = batch.column(IS_REJECTED)
    return batch.filter(pc.invert(rejected)) if rejected.true_count else batch


class WorkerEncoder:
    """Ids and x_i of batches, whatever Spark has left to the workers."""

    def __init__(self, bundle: Bundle, columns: WorkerColumns) -> None:
        self._map, self._columns = bundle.feature_map, columns
        features, fingerprint = str(bundle.features_path.absolute()), bundle.feature_map.fingerprint
        self._vocabularies = read_vocabularies(features, columns.texts, fingerprint)
        self._slots = {name: at for at, name in enumerate(self._map.id_columns)}

    def encode(self, batch: pa.RecordBatch) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ids (N, slots) and x (N, columns of x) of N rows."""
        ids = np.empty((batch.num_rows, len(self._slots)), dtype=np.int32)
        for name, slot in self._slots.items():
            ids[:, slot] = self._ids(name, batch.column(name))
        x = np.empty((batch.num_rows, len(self._map.x_columns)), dtype=np.float32)
        for at, name in enumerate(self._map.x_columns):
            x[:, at] = batch.column(name).to_numpy()
        return ids, x

    def new_values(self, batch: pa.RecordBatch, ids: NDArray[np.int32]) -> dict[str, pa.Array]:
        """By field, the text of values without an id, and nulls."""
        found = {name: batch.column(column) for name, column in self._columns.new.items()}
        for name in self._columns.texts:
            is_unknown = ids[:, self._slots[name]] == self._map[name].unknown_id
            found[name] = batch.column(name).filter(pa.array(is_unknown))
        return found

    def _ids(self, name: str, column: pa.Array) -> NDArray[np.int32]:
        vocabulary = self._vocabularies.get(name)
        found: NDArray[np.int32] = (
            vocabulary.look_up(column, self._map[name].unknown_id) if vocabulary else column.to_numpy()
        )
        return found


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
