"""Field-aware factorization machine (Juan et al., RecSys 2016)."""

import torch
from torch import Tensor, nn

from afm_core.kernels import pair_indices
from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import LinearPart, embedding_table
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class FFM(nn.Module):
    """y = w_0 + sum_i w_i x_i + sum_{i<j} <v_i,f(j), v_j,f(i)> x_i x_j (equation 4): a vector per id and column.

    Memory: n_ids x F x k floats, and F x F x k per row, so `embedding_dim` should be small.
    """

    left: Tensor
    right: Tensor

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = LinearPart(shape.n_ids)
        self.n_columns, self.k = shape.n_columns, settings.embedding_dim
        self.aware = embedding_table(shape.n_ids, shape.n_columns * settings.embedding_dim)
        left, right = zip(*pair_indices(shape.n_columns), strict=True)
        self.register_buffer("left", torch.tensor(left), persistent=False)
        self.register_buffer("right", torch.tensor(right), persistent=False)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        x_BF = batch.values * batch.mask
        v_BFFK = self.aware(batch.ids).unflatten(-1, (self.n_columns, self.k))
        products_BP = (v_BFFK[:, self.left, self.right] * v_BFFK[:, self.right, self.left]).sum(dim=-1)
        terms_BP: Tensor = products_BP * x_BF[:, self.left] * x_BF[:, self.right]
        return self.factors.first_order(batch) + terms_BP.sum(dim=1)
