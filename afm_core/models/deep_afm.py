"""Deep AFM: layers above the attention-based pooling, which the AFM paper's conclusion names as future work."""

from torch import Tensor

from afm_core.models.afm import AFM
from afm_core.models.batch import EncodedBatch
from afm_core.models.layers import Perceptron
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class DeepAFM(AFM):
    """AFM, plus a perceptron on its pooled vector sum a_ij (v_i * v_j) x_i x_j."""

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.deep = Perceptron(settings.embedding_dim, settings)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        pooled_BK = self.pool(batch)
        deep: Tensor = self.deep(pooled_BK)
        return self.factors.first_order(batch) + pooled_BK @ self.p + deep
