"""DeepFM (Guo et al., IJCAI 2017)."""

from torch import Tensor, nn
from torch.nn import functional

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors, pair_pool
from afm_core.models.layers import Perceptron
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class DeepFM(nn.Module):
    """An FM plus a perceptron on the same embeddings, concatenated (equations 1 to 4, without the sigmoid)."""

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = Factors(shape.n_ids, settings.embedding_dim)
        self.deep = Perceptron(shape.n_columns * settings.embedding_dim, settings)
        self.pooled_dropout = settings.pooled_dropout

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        terms_BFK = self.factors.terms(batch)
        pooled_BK = functional.dropout(pair_pool(terms_BFK), self.pooled_dropout, self.training)
        deep: Tensor = self.deep(terms_BFK.flatten(1))
        return self.factors.first_order(batch) + pooled_BK.sum(dim=1) + deep
