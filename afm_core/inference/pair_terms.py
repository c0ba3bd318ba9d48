"""What one pair of features contributes to an AFM's output, as the tables of pairs need it.

The kernels (`afm_core.kernels`) compute the same for whole batches, in training too; this is the only other
implementation of the attention network.
"""

import torch
from torch import Tensor
from torch.nn import functional

from afm_core.models import AFM
from afm_core.settings.model import Precision


class PairTerms:
    """Attention logits a'_ij = h^T ReLU(W (v_i * v_j) + b) and contributions p^T (v_i * v_j) of pairs with x = 1.

    `h` includes the division by the temperature.
    """

    def __init__(self, model: AFM, precision: Precision = "float32") -> None:
        """Use the attention network of a model, whose weights may not change afterwards.

        Args:
            precision: of the factors of the products with W; sums are float32.
        """
        self._precision = precision
        self._W = self._factor(model.W.detach())
        self._b, self._p = model.b.detach(), model.p.detach()
        self._h = (model.h / model.temperature).detach()

    def of(self, interactions: Tensor) -> tuple[Tensor, Tensor]:
        """From interactions v_i * v_j, (..., k), to logits and contributions, (...) each."""
        hidden = functional.linear(self._factor(interactions), self._W, self._b)
        return self._logits(hidden), interactions @ self._p

    def of_products(self, vectors_NK: Tensor, vector_K: Tensor) -> tuple[Tensor, Tensor]:
        """The same for one v_j with each of N v_i, (N,) each.

        W (v_i * v_j) = (W diag(v_j)) v_i: one matrix product of all vectors with one (t, k) matrix.
        """
        hidden = torch.addmm(self._b, vectors_NK, (self._W * vector_K).T)
        return self._logits(hidden), vectors_NK @ (self._p * vector_K)

    def _logits(self, hidden: Tensor) -> Tensor:
        return functional.relu(hidden, inplace=True) @ self._h

    def _factor(self, tensor: Tensor) -> Tensor:
        """Rounded as the model's own products round it."""
        return tensor.bfloat16().float() if self._precision == "bfloat16" else tensor
