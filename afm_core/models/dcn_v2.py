"""Deep & Cross network, version 2 (Wang et al., WWW 2021)."""

import torch
from torch import Tensor, nn

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors
from afm_core.models.layers import Dense, Perceptron
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class DCNv2(nn.Module):
    """Cross layers x_{l+1} = x_0 * (W_l x_l + b_l) + x_l (equation 1), then a perceptron: the stacked structure.

    With `cross_rank` r, W_l is U_l V_l^T of rank r (equation 2): 2 F k r parameters instead of (F k)^2. The linear part
    is the same as in the other models.
    """

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = Factors(shape.n_ids, settings.embedding_dim)
        width = shape.n_columns * settings.embedding_dim
        self.cross = nn.ModuleList(_cross_layer(width, settings) for _ in range(settings.cross_layers))
        self.deep = Perceptron(width, settings)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        start = crossed = self.factors.terms(batch).flatten(1)
        for layer in self.cross:
            crossed = torch.addcmul(crossed, start, layer(crossed))
        deep: Tensor = self.deep(crossed)
        return self.factors.first_order(batch) + deep


def _cross_layer(width: int, settings: ModelSettings) -> nn.Module:
    rank, precision = settings.cross_rank, settings.precision
    if not rank:
        return Dense(width, width, precision)
    return nn.Sequential(Dense(width, rank, precision, bias=False), Dense(rank, width, precision))
