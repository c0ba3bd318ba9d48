"""Whether the rows of a dataset fit in memory. Arithmetic over the manifest; nothing is read."""

import psutil

from pipelines.dataset import Dataset

_ID_BYTES, _FLOAT_BYTES = 4, 4
_SHARE_OF_FREE = 0.25  # leaves room for the model, its optimiser, batches, and other processes


def bytes_needed(dataset: Dataset, splits: tuple[str, ...] = ("train", "valid")) -> int:
    """Bytes of all rows of these splits: ranks read different files each epoch, so in the end each caches all."""
    features, floats = dataset.feature_map, 1 + dataset.manifest.weighted
    row = len(features.id_columns) * _ID_BYTES + (len(features.x_columns) + floats) * _FLOAT_BYTES
    return row * sum(dataset.manifest.splits[split].rows for split in splits)


def fits_in_memory(dataset: Dataset, local_ranks: int) -> bool:
    """Whether every rank on this machine can cache the training and validation rows in a quarter of the free memory."""
    free: int = psutil.virtual_memory().available
    return local_ranks * bytes_needed(dataset) <= _SHARE_OF_FREE * free
