"""Degree-2 polynomial (Chang et al., JMLR 2010) with hashed pairs (Juan et al., RecSys 2016, equation 2)."""

import torch
from torch import Tensor, nn

from afm_core.kernels import pair_indices
from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import LinearPart, Table
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings

_MULTIPLIER, _SHIFT = 0x9E3779B1, 15


class Poly2(nn.Module):
    """y = w_0 + sum_i w_i x_i + sum_{i<j} w_h(i,j) x_i x_j, with h(i, j) one of `pair_buckets` weights."""

    left: Tensor
    right: Tensor

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = LinearPart(shape.n_ids)
        self.pairs = Table(settings.pair_buckets, 1)
        left, right = zip(*pair_indices(shape.n_columns), strict=True)
        self.register_buffer("left", torch.tensor(left), persistent=False)
        self.register_buffer("right", torch.tensor(right), persistent=False)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        x_BF = batch.values * batch.mask
        buckets_BP = bucket(batch.ids[:, self.left], batch.ids[:, self.right], self.pairs.num_embeddings)
        terms_BP: Tensor = self.pairs(buckets_BP).squeeze(-1) * x_BF[:, self.left] * x_BF[:, self.right]
        return self.factors.first_order(batch) + terms_BP.sum(dim=1)


def bucket(left: Tensor, right: Tensor, buckets: int) -> Tensor:
    """The bucket of a pair of ids, whichever of them comes first."""
    low, high = torch.minimum(left, right), torch.maximum(left, right)
    mixed = (low * _MULTIPLIER + high) & 0x7FFFFFFFFFFF
    mixed = (mixed ^ (mixed >> _SHIFT)) * _MULTIPLIER & 0x7FFFFFFFFFFF
    return (mixed ^ (mixed >> _SHIFT)) % buckets
