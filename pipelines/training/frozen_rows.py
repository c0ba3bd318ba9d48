"""The frozen rows of a bundle: encoded rows with which every reader of the bundle checks its scores."""

import numpy as np

from afm_core.bundle import FrozenRows
from pipelines.feeding.feed import Feed

_N_ROWS = 256


def frozen_rows(valid: Feed) -> FrozenRows:
    """The first 256 rows of the validation split. They are part of the bundle's certificate."""
    batch = next(valid.epoch(0)).encoded
    ids, values = batch.ids[:_N_ROWS].numpy().astype(np.int32), batch.values[:_N_ROWS].numpy()
    columns = [valid.value_index.index(column) for column in range(max(valid.value_index, default=-1) + 1)]
    return FrozenRows(ids, np.ascontiguousarray(values[:, columns], dtype=np.float32))
