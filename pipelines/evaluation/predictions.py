"""Scores of a whole split."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from afm_core.features import FeatureMap
from afm_core.inference.scorer import Scorer
from afm_core.learning.metrics import Scored
from afm_core.learning.tasks import Task
from afm_core.models import EncodedBatch
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan

_BATCH_ROWS = 1024


@dataclass(frozen=True)
class Predictions:
    """Scored rows of a split, in the order of its files."""

    row_key: NDArray[np.int64]
    score: NDArray[np.float32]
    label: NDArray[np.float32]
    lists: NDArray[np.int64] | None
    """Id of the field whose rows are ranked against each other."""

    def scored(self, task: Task) -> Scored:
        """What metrics read."""
        value = task.value(self.score) if task.value else None
        probability = task.probability(self.score) if task.probability else None
        return Scored(self.score, self.label, value, probability, self.lists)


def score_split(
    scorer: Scorer,
    dataset: Dataset,
    split: str,
    list_field: str | None = None,
    ids_below: FeatureMap | None = None,
) -> Predictions:
    """Score every row of a split. Memory: 16 bytes a row, 24 with lists.

    Args:
        ids_below: the scorer's own map, where the dataset's extends it: ids that it lacks become unknown.
    """
    names = [field.name for field in dataset.feature_map.column_fields]
    at = names.index(list_field) if list_field else None
    batches = _feed(dataset, split, with_row_keys=True).epoch(0)
    parts = [
        (
            batch.row_key,
            scorer.batch(_known(batch.encoded, ids_below)),
            batch.label,
            batch.encoded.ids[:, at or 0].clone(),
        )
        for batch in batches
    ]
    row_key, score, label, lists = (
        np.concatenate([part.numpy() for part in column]) for column in zip(*parts, strict=True)
    )
    return Predictions(row_key, score, label, None if at is None else lists)


def _known(batch: EncodedBatch, own: FeatureMap | None) -> EncodedBatch:
    if own is None:
        return batch
    unknown = torch.tensor([field.unknown_id for field in own.column_fields])
    return batch._replace(ids=torch.where(batch.ids < own.n_ids, batch.ids, unknown))


def encoded_batches(dataset: Dataset, split: str) -> Iterator[EncodedBatch]:
    """The rows of a split without their labels."""
    return (batch.encoded for batch in _feed(dataset, split, with_row_keys=False).epoch(0))


def _feed(dataset: Dataset, split: str, with_row_keys: bool) -> Feed:
    plan = ShardPlan(dataset.manifest.splits[split].rows, dataset.manifest.rows_per_file, _BATCH_ROWS, 0, 1)
    return Feed(dataset, split, plan, None, with_row_keys)
