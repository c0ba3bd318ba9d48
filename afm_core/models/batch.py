"""What every model reads."""

from typing import NamedTuple

import torch
from torch import Tensor

from afm_core.features.feature_map import PADDING_ID


class EncodedBatch(NamedTuple):
    """B rows of F features. The columns stand in the order of the feature map's fields."""

    ids: Tensor
    """(B, F) int64."""
    values: Tensor
    """(B, F) float32, the paper's x_i; 1 for a categorical field."""
    mask: Tensor
    """(B, F) bool, False where the id is padding."""

    @classmethod
    def of_ids(cls, ids: Tensor) -> "EncodedBatch":
        """A batch of categorical fields only."""
        return cls(ids, torch.ones(ids.shape, dtype=torch.float32), ids != PADDING_ID)
