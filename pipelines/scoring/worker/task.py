"""The function that scores batches inside Spark's Python workers."""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import torch

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import ReplacedBundleError
from afm_core.prediction.row_explainer import RowExplainer
from afm_core.storage.paths import to_path
from pipelines.contract_checks import check_batch
from pipelines.contracts import MODEL, SCORE
from pipelines.encoding.worker_encoder import WorkerEncoder
from pipelines.scoring.worker.input_rows import WorkerColumns
from pipelines.scoring.worker.task_counters import NightCounters, TaskCounters
from pipelines.spark import Batches


def scoring_task(
    bundle: Bundle, columns: WorkerColumns, counters: NightCounters, explain: int = 0
) -> Callable[[Batches], Batches]:
    """The function that `mapInArrow` runs: accepted rows of contract `rows_to_score` in, contract `scores` out.

    Args:
        columns: names of the columns of the rows.
        counters: what the task adds its counts to.
        explain: number of interactions to add to each row, 0 for none.
    """
    path, fingerprint = bundle.address, bundle.fingerprint
    contract = columns.contract(bundle.feature_map)
    total, unseen, mean_filled = counters.total, counters.unseen, counters.mean_filled

    def score(batches: Batches) -> Batches:
        torch.set_num_threads(1)  # a task slot is one core
        loaded = load_bundle(path, fingerprint)
        encoder = WorkerEncoder(loaded.feature_map, loaded.features_path, columns.texts)
        task_counters = TaskCounters(loaded, mean_filled)
        explainer = RowExplainer(loaded, explain) if explain else None
        for batch in batches:
            accepted = check_batch(batch, contract)
            if not accepted.num_rows:
                yield accepted
                continue
            ids, x = encoder.encode(accepted)
            start = time.thread_time_ns()
            scores = loaded.scorer.columns(ids, x)
            task_counters.add(ids, x, time.thread_time_ns() - start)
            for name, column in columns.given.items():
                task_counters.add_given(name, accepted.column(column))
            texts = {name: accepted.column(column) for name, column in columns.unseen.items()}
            for name, values in (texts | encoder.unseen_texts(accepted, ids)).items():
                task_counters.add_unseen(name, values)
            output = {name: accepted.column(column) for name, column in columns.keys.items()}
            output[SCORE] = pa.array(scores)
            output[MODEL] = pa.array([fingerprint]).take(pa.array(np.zeros(len(ids), dtype=np.int32)))
            if explainer:
                output |= explainer.columns(ids, x)
            yield pa.RecordBatch.from_pydict(output)
        total.add(task_counters.total)
        unseen.add(task_counters.unseen)

    return score


@lru_cache(maxsize=1)
def load_bundle(path: str, fingerprint: str) -> Bundle:
    """The bundle at `path`, loaded once per Python worker and model.

    Raises:
        ReplacedBundleError: the bundle at `path` is no longer the one that the driver opened.
        BundleError: there is none.
    """
    bundle = read_bundle(to_path(path))
    if bundle.fingerprint != fingerprint:
        raise ReplacedBundleError(
            f"{path}: replaced by {bundle.fingerprint} while {fingerprint} was scoring; run the night again"
        )
    return bundle
