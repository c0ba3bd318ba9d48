"""The ids of lists of tags."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afm_core.encoding.vocabulary import Vocabulary


def encode_lists(
    lists: pa.ListArray, vocabulary: Vocabulary, length: int, unknown_id: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The known tags of each row, the most frequent first, padded with 0; the unknown id if none is known.

    Args:
        lists: N lists of distinct text, or nulls.

    Returns:
        ids (N, length) int32 and x (N,) float32, 1 / number of ids.
    """
    row = pc.list_parent_indices(lists).to_numpy()
    position = vocabulary.positions(pc.list_flatten(lists))
    row, position = row[position >= 0], position[position >= 0]
    order = np.lexsort((position, row))
    row, position = row[order], position[order]
    counts = np.bincount(row, minlength=len(lists))
    slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    fits = slot < length
    ids = np.zeros((len(lists), length), dtype=np.int32)
    ids[row[fits], slot[fits]] = vocabulary.ids[position[fits]]
    ids[counts == 0, 0] = unknown_id
    return ids, (1.0 / np.clip(counts, 1, length)).astype(np.float32)
