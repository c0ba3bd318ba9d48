"""Whether a dataset may stay in memory after its first epoch. Arithmetic over the manifest; nothing is read."""

import psutil

from pipelines.dataset import Dataset

_ID_BYTES, _FLOAT_BYTES = 4, 4
_SHARE_OF_FREE = 0.25  # the rest is for the model, its optimiser, batches, and whoever else is on the machine


def bytes_needed(dataset: Dataset, splits: tuple[str, ...] = ("train", "valid")) -> int:
    """What one rank keeps of these splits: in the end every file of them, since ranks read other ones each epoch."""
    features, floats = dataset.feature_map, 1 + dataset.manifest.weighted
    row = len(features.id_columns) * _ID_BYTES + (len(features.x_columns) + floats) * _FLOAT_BYTES
    return row * sum(dataset.manifest.splits[split].rows for split in splits)


def fits_in_memory(dataset: Dataset, local_ranks: int) -> bool:
    """Whether that many ranks on this machine can keep training and validation rows in a quarter of what is free."""
    free: int = psutil.virtual_memory().available
    return local_ranks * bytes_needed(dataset) <= _SHARE_OF_FREE * free
