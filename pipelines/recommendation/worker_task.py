"""The function that finds the best items inside Spark's Python workers, and the rows that it receives."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyspark.sql.types import StringType, StructField, StructType

from afm_core.bundle import Bundle
from afm_core.features.feature_table import values_by_id
from afm_core.inference.top_items import TopItemFinder
from pipelines.contract_checks import Contract, check_batch
from pipelines.contracts import encoded
from pipelines.logs.columns import OURS
from pipelines.scoring.worker.task import load_bundle
from pipelines.spark import Batches

USER_KEY = f"{OURS}key user"


def user_contexts(bundle: Bundle) -> Contract:
    """What a worker receives: for each user the user's own value and the encoded context to find items for."""
    user = StructField(USER_KEY, StringType())
    ids = [field for field in encoded(bundle.feature_map).schema if field.name in bundle.feature_map.id_columns]
    return Contract("user contexts", StructType([user, *ids]), unique=(USER_KEY,))


def top_items_task(
    bundle: Bundle, user: str, item: str, items: NDArray[np.int64], k: int
) -> Callable[[Batches], Batches]:
    """The function that `mapInArrow` runs: contract `user_contexts` in, contract `best_items` out.

    Args:
        user, item: names of the two fields.
        items: (N,) ids of the items to choose from.
        k: number of items per user; all N where there are fewer.
    """
    path, fingerprint, contract = bundle.address, bundle.fingerprint, user_contexts(bundle)
    id_columns, item_column = bundle.feature_map.id_columns, bundle.feature_map.id_columns.index(item)

    def find_top_items(batches: Batches) -> Batches:
        torch.set_num_threads(1)  # a task slot is one core
        loaded = load_bundle(path, fingerprint)
        values = values_by_id(loaded.features_path).take(pa.array(items))
        top_items = TopItemFinder(loaded.model, item_column, torch.from_numpy(items))
        for batch in batches:
            contexts = check_batch(batch, contract)
            ids = np.stack([contexts.column(name).to_numpy() for name in id_columns], axis=1)
            positions, outputs = top_items.best(torch.from_numpy(ids.astype(np.int64)), k)
            users, n_best = positions.shape
            yield pa.RecordBatch.from_pydict(
                {
                    user: contexts.column(USER_KEY).take(pa.array(np.repeat(np.arange(users), n_best))),
                    "rank": pa.array(np.tile(np.arange(1, n_best + 1, dtype=np.int32), users)),
                    item: values.take(pa.array(positions.reshape(-1).numpy())),
                    "score": pa.array(loaded.calibrated_model.to_score(outputs.reshape(-1)).numpy()),
                    "model": pa.array([fingerprint]).take(pa.array(np.zeros(users * n_best, dtype=np.int32))),
                }
            )

    return find_top_items
