"""Deep Crossing (Shan et al., KDD 2016)."""

from collections.abc import Sequence

from torch import Tensor, nn

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors
from afm_core.models.layers import Dense
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings, Precision


class DeepCross(nn.Module):
    """Concatenated embeddings through residual units, then one linear unit; plus the other models' linear part."""

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = Factors(shape.n_ids, settings.embedding_dim)
        width = shape.n_columns * settings.embedding_dim
        self.units = nn.Sequential(*_units(width, settings.layers, settings.precision))
        self.dropout = nn.Dropout(settings.dropout_of_layers[-1])
        self.output = nn.Linear(width, 1, bias=False)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        deep: Tensor = self.output(self.dropout(self.units(self.factors.terms(batch).flatten(1)))).squeeze(-1)
        return self.factors.first_order(batch) + deep


class ResidualUnit(nn.Module):
    """ReLU(x + W_1 ReLU(W_0 x + b_0) + b_1) (equation 4)."""

    def __init__(self, width: int, inner: int, precision: Precision) -> None:
        super().__init__()
        self.into, self.back = Dense(width, inner, precision), Dense(inner, width, precision)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        change: Tensor = self.back(self.into(inputs).relu())
        return (inputs + change).relu()


def _units(width: int, layers: Sequence[int], precision: Precision) -> list[nn.Module]:
    return [ResidualUnit(width, inner, precision) for inner in layers]
