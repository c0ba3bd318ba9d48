"""Factorization machine (Rendle, ICDM 2010), in its O(km) form."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from afm_core.features.feature_map import PADDING_ID
from afm_core.models.batch import EncodedBatch
from afm_core.settings.training import Model as ModelSettings

_EMBEDDING_STD = 0.01  # of the AFM authors' published code, as is the zero start of the linear part


class Factors(nn.Module):
    """What FM and AFM share: w_0, the linear weights w_i and the embeddings v_i."""

    def __init__(self, n_ids: int, embedding_dim: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        # Sparse gradients: a step costs the rows of its batch. No padding_idx: padding has the value 0, hence the
        # gradient 0, and torch would copy every gradient to leave its rows out.
        self.linear = nn.Embedding(n_ids, 1, sparse=True)
        self.embedding = nn.Embedding(n_ids, embedding_dim, sparse=True)
        nn.init.zeros_(self.linear.weight)
        nn.init.normal_(self.embedding.weight, std=_EMBEDDING_STD)
        with torch.no_grad():
            self.embedding.weight[PADDING_ID] = 0.0

    def first_order(self, batch: EncodedBatch) -> Tensor:
        """w_0 + sum_i w_i x_i: (B,)."""
        terms_BF: Tensor = self.linear(batch.ids).squeeze(-1) * batch.values * batch.mask
        return self.bias + terms_BF.sum(dim=1)


class FM(nn.Module):
    """y = w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j (Rendle 2010, equations 1 and 5).

    Dropout is applied to the vector sum_{i<j} (v_i * v_j) x_i x_j before it is summed, in training only.
    """

    def __init__(self, settings: ModelSettings, n_ids: int) -> None:
        super().__init__()
        self.factors = Factors(n_ids, settings.embedding_dim)
        self.pooled_dropout = settings.pooled_dropout

    def forward(self, batch: EncodedBatch) -> Tensor:
        """One real number a row: (B,)."""
        terms_BFK = self.factors.embedding(batch.ids) * (batch.values * batch.mask).unsqueeze(-1)
        pooled_BK = 0.5 * (terms_BFK.sum(dim=1).square() - terms_BFK.square().sum(dim=1))
        pooled_BK = functional.dropout(pooled_BK, self.pooled_dropout, self.training)
        return self.factors.first_order(batch) + pooled_BK.sum(dim=1)

    def penalty(self) -> Tensor:
        """What is added to the loss besides the error: nothing."""
        return torch.zeros(())
