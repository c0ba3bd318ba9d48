"""Neural factorization machine (He and Chua, SIGIR 2017)."""

from torch import Tensor, nn
from torch.nn import functional

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors, pair_pool
from afm_core.models.layers import Perceptron
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class NFM(nn.Module):
    """The linear part plus a perceptron on the bi-interaction pooled vector (equations 2, 3 and 7)."""

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = Factors(shape.n_ids, settings.embedding_dim)
        self.deep = Perceptron(settings.embedding_dim, settings)
        self.pooled_dropout = settings.pooled_dropout

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        pooled_BK = functional.dropout(pair_pool(self.factors.terms(batch)), self.pooled_dropout, self.training)
        deep: Tensor = self.deep(pooled_BK)
        return self.factors.first_order(batch) + deep
