"""What the models share: the linear part and the embeddings."""

import torch
from torch import Tensor, nn

from afm_core.features.feature_map import PADDING_ID
from afm_core.kernels.large_pages import on_large_pages
from afm_core.kernels.rows import gather_rows
from afm_core.models.batch import EncodedBatch

_EMBEDDING_STD = 0.01  # as in the AFM authors' published code, like the linear part's initial zeros


class Table(nn.Embedding):
    """A vector for every id, initially 0. Gradients are sparse, so that a step costs only the rows of its batch."""

    def __init__(self, n_ids: int, length: int) -> None:
        super().__init__(n_ids, length, sparse=True, _weight=on_large_pages(torch.empty(n_ids, length)))
        nn.init.zeros_(self.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of ids: (...) int64 to (..., length)."""
        return gather_rows(self.weight, ids)


def embedding_table(n_ids: int, length: int) -> Table:
    """A table initialised like the authors', with zeros for padding.

    It has no `padding_idx`, for which torch would copy every gradient: padding has x_i = 0 and therefore gradient 0.
    """
    table = Table(n_ids, length)
    nn.init.normal_(table.weight, std=_EMBEDDING_STD)
    with torch.no_grad():
        table.weight[PADDING_ID] = 0.0
    return table


class LinearPart(nn.Module):
    """w_0 + sum_i w_i x_i."""

    def __init__(self, n_ids: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.linear = Table(n_ids, 1)

    def first_order(self, batch: EncodedBatch) -> Tensor:
        """w_0 + sum_i w_i x_i: (B,)."""
        terms_BF: Tensor = self.linear(batch.ids).squeeze(-1) * (batch.values * batch.mask)
        return self.bias + terms_BF.sum(dim=1)


class Factors(LinearPart):
    """The linear part, and an embedding v_i of length k for every id."""

    def __init__(self, n_ids: int, embedding_dim: int) -> None:
        super().__init__(n_ids)
        self.embedding = embedding_table(n_ids, embedding_dim)

    @torch.no_grad()
    def copy_from(self, factors: "Factors") -> None:
        """Copy the parameters of another model over the same feature map.

        If the map has been extended since, the appended ids keep their current values.
        """
        self.bias.copy_(factors.bias)
        for target, source in ((self.linear, factors.linear), (self.embedding, factors.embedding)):
            target.weight[: len(source.weight)] = source.weight

    def terms(self, batch: EncodedBatch) -> Tensor:
        """v_i x_i, 0 for padding: (B, F, k)."""
        return scaled(self.embedding, batch)


def scaled(table: Table, batch: EncodedBatch) -> Tensor:
    """The vectors of a batch times x_i, 0 for padding: (B, F, length)."""
    terms_BFK: Tensor = table(batch.ids) * (batch.values * batch.mask).unsqueeze(-1)
    return terms_BFK


def pair_pool(terms_BFK: Tensor) -> Tensor:
    """sum_{i<j} (v_i * v_j) x_i x_j in O(F k), from the terms v_i x_i: (B, k) (Rendle 2010, section 3.1)."""
    return 0.5 * (terms_BFK.sum(dim=1).square() - terms_BFK.square().sum(dim=1))
