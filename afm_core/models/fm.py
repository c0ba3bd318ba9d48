"""Factorization machine (Rendle, ICDM 2010), in its O(km) form."""

from torch import Tensor, nn
from torch.nn import functional

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors, pair_pool
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class FM(nn.Module):
    """y = w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j (Rendle 2010, equations 1 and 5).

    Dropout is applied to the vector sum_{i<j} (v_i * v_j) x_i x_j before it is summed, in training only.
    """

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = Factors(shape.n_ids, settings.embedding_dim)
        self.pooled_dropout = settings.pooled_dropout

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        pooled_BK = pair_pool(self.factors.terms(batch))
        pooled_BK = functional.dropout(pooled_BK, self.pooled_dropout, self.training)
        return self.factors.first_order(batch) + pooled_BK.sum(dim=1)
