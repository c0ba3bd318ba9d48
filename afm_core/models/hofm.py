"""Higher-order factorization machine (Blondel et al., NIPS 2016), orders 2 and 3."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors, embedding_table, pair_pool, scaled
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class HOFM(nn.Module):
    """An FM plus sum_{i<j<l} <v'_i, v'_j, v'_l> x_i x_j x_l, with separate embeddings for order 3 (equation 4)."""

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = Factors(shape.n_ids, settings.embedding_dim)
        self.third = embedding_table(shape.n_ids, settings.embedding_dim)
        self.pooled_dropout = settings.pooled_dropout

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        pooled_BK = pair_pool(self.factors.terms(batch)) + anova3(scaled(self.third, batch))
        pooled_BK = functional.dropout(pooled_BK, self.pooled_dropout, self.training)
        return self.factors.first_order(batch) + pooled_BK.sum(dim=1)


def anova3(terms_BFK: Tensor) -> Tensor:
    """The ANOVA kernel of order 3 of each of the k columns, by recurrence over the features (algorithm 1): (B, k)."""
    first = second = third = torch.zeros_like(terms_BFK[:, 0])
    for z_BK in terms_BFK.unbind(dim=1):
        first, second, third = first + z_BK, second + first * z_BK, third + second * z_BK
    return third
