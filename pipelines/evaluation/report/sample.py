"""The rows of the test split that a report looks at."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from afm_core.inference.scorer import Scorer
from afm_core.learning.metrics import Scored
from afm_core.learning.tasks import Task
from afm_core.models import EncodedBatch
from pipelines.dataset import Dataset
from pipelines.feeding.split_reader import read_split

LARGEST_SAMPLE = 100_000
_BATCH_ROWS = 1024
_MIXED = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Sample:
    """N rows of a split."""

    batch: EncodedBatch
    label: NDArray[np.float32]
    row_key: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.label)

    def permuted(self, columns: list[int], seed: int) -> EncodedBatch:
        """The rows with some columns exchanged between them, all of these columns in the same way."""
        order = torch.from_numpy(np.argsort(_hash(self.row_key, seed), kind="stable"))
        ids, values, mask = (tensor.clone() for tensor in self.batch)
        for tensor in (ids, values, mask):
            tensor[:, columns] = tensor[order][:, columns]
        return EncodedBatch(ids, values, mask)

    def scored(self, scorer: Scorer, task: Task, batch: EncodedBatch | None = None) -> Scored:
        """The rows, or others with the same labels, with their scores."""
        score = scorer.batch(self.batch if batch is None else batch).numpy()
        value = task.value(score) if task.value else None
        probability = task.probability(score) if task.probability else None
        return Scored(score, self.label, value, probability)


def sample_of(dataset: Dataset, split: str, largest: int = LARGEST_SAMPLE) -> Sample:
    """All rows of a split, or about `largest` of them, chosen by a hash of their keys.

    Cost: one pass over the split; memory for the rows that are kept.
    """
    share = min(1.0, largest / max(1, dataset.manifest.splits[split].rows))
    parts = list(_kept(dataset, split, share))
    batch = EncodedBatch(*(torch.cat(tensors) for tensors in zip(*(part[0] for part in parts), strict=True)))
    label, row_key = (np.concatenate([part[at] for part in parts]) for at in (1, 2))
    return Sample(batch, label, row_key)


def _kept(
    dataset: Dataset, split: str, share: float
) -> Iterator[tuple[EncodedBatch, NDArray[np.float32], NDArray[np.int64]]]:
    for batch in read_split(dataset, split, _BATCH_ROWS, with_row_keys=True):
        assert batch.row_key is not None
        keys = batch.row_key.numpy()
        kept = _hash(keys, 0) < share * 2.0**64
        rows = torch.from_numpy(kept)
        yield EncodedBatch(*(tensor[rows] for tensor in batch.encoded)), batch.label.numpy()[kept], keys[kept]


def _hash(keys: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Of (seed, key): the finaliser of MurmurHash3."""
    words = keys.view(np.uint64) + np.array([seed], dtype=np.uint64) * _MIXED
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    hashes: NDArray[np.uint64] = words ^ (words >> np.uint64(33))
    return hashes
