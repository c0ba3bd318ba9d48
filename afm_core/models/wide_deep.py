"""Wide & Deep (Cheng et al., DLRS 2016)."""

from torch import Tensor, nn

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors
from afm_core.models.layers import Perceptron
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class WideDeep(nn.Module):
    """The linear part plus a perceptron on the concatenated embeddings (equation 3, without the sigmoid)."""

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = Factors(shape.n_ids, settings.embedding_dim)
        self.deep = Perceptron(shape.n_columns * settings.embedding_dim, settings)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        deep: Tensor = self.deep(self.factors.terms(batch).flatten(1))
        return self.factors.first_order(batch) + deep
