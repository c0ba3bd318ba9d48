"""Linear regression on the encoded features."""

from torch import Tensor, nn

from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import LinearPart
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class Linear(nn.Module):
    """y = w_0 + sum_i w_i x_i (equation 1 of the AFM paper without its interactions)."""

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        self.factors = LinearPart(shape.n_ids)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        return self.factors.first_order(batch)
