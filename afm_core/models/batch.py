"""The input of every model."""

from typing import NamedTuple

import torch
from torch import Tensor

from afm_core.features.feature_map import PADDING_ID


class EncodedBatch(NamedTuple):
    """B rows of F features. The columns are in the order of the feature map's fields."""

    ids: Tensor
    """(B, F) int64."""
    values: Tensor
    """(B, F) float32, the paper's x_i; 1 for categorical fields."""
    mask: Tensor
    """(B, F) bool, False where the id is padding."""

    @classmethod
    def of_ids(cls, ids: Tensor) -> "EncodedBatch":
        """A batch in which every x_i is 1."""
        return cls(ids, torch.ones(ids.shape, dtype=torch.float32, device=ids.device), ids != PADDING_ID)

    @classmethod
    def of_columns(cls, ids: Tensor, x: Tensor, value_index: tuple[int, ...]) -> "EncodedBatch":
        """A batch from the columns of a dataset.

        Args:
            ids: (B, F) int64.
            x: (B, X) float32, the columns of x_i; X may be 0.
            value_index: (F,) the position in `x` of each column's x_i, -1 where x_i is 1 (`FeatureMap.value_index`).
        """
        batch = cls.of_ids(ids)
        for column, position in enumerate(value_index):
            if position >= 0:
                batch.values[:, column] = x[:, position]
        return batch
