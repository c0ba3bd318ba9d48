"""Attentional factorization machine (Xiao et al., IJCAI 2017, arXiv 1708.04617)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from afm_core.kernels import choose, describe, pair_attention
from afm_core.kernels.distinct_pairs import replaces
from afm_core.models.batch import EncodedBatch
from afm_core.models.factors import Factors, pair_pool
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


class AFM(nn.Module):
    """y = w_0 + sum_i w_i x_i + p^T sum_{i<j} a_ij (v_i * v_j) x_i x_j (the paper's equation 6).

    The softmax is over the pairs of a row, as in equation 5. The authors' published code takes it over an axis of size
    1, which makes every weight 1.

    Parameters, initialised like the authors': W (t, k) and b (t,) ~ N(0, 2/(t+k)), h (t,) ~ N(0, 1), p (k,) = 1.
    """

    def __init__(self, settings: ModelSettings, shape: Shape) -> None:
        super().__init__()
        t, k = settings.attention_dim, settings.embedding_dim
        std = math.sqrt(2.0 / (t + k))
        self.factors = Factors(shape.n_ids, k)
        self.W = nn.Parameter(torch.randn(t, k) * std)
        self.b = nn.Parameter(torch.randn(t) * std)
        self.h = nn.Parameter(torch.randn(t))
        self.p = nn.Parameter(torch.ones(k))
        self.attention, self.temperature = settings.attention, settings.attention_temperature
        self.weights_sum_to_pairs = settings.attention and settings.attention_sum == "pairs"
        self.pooled_dropout = settings.pooled_dropout
        self.attention_dropout = settings.attention_dropout
        self.precision = settings.precision
        self.kernel = settings.kernel

    def attend(self, batch: EncodedBatch, need_weights: bool = True) -> tuple[Tensor, Tensor | None]:
        """The pooled vector sum a_ij (v_i * v_j) x_i x_j, (B, k), and the weights a_ij, (B, pairs), if needed."""
        return pair_attention(
            self.factors.embedding(batch.ids),
            batch.values,
            batch.mask,
            self.W,
            self.b,
            self.h if self.temperature == 1.0 else self.h / self.temperature,
            keep=self._kept_pairs(batch),
            ids=batch.ids,
            need_weights=need_weights,
            precision=self.precision,
            kernel=self.kernel,
        )

    def forward(self, batch: EncodedBatch) -> Tensor:
        """Outputs, one real number per row: (B,)."""
        return torch.addmv(self.factors.first_order(batch), self.pool(batch), self.p)

    def pool(self, batch: EncodedBatch) -> Tensor:
        """The pooled vector after dropout, (B, k); without attention the paper's sum pooling (equation 3)."""
        pooled_BK = (
            self.attend(batch, need_weights=False)[0] if self.attention else pair_pool(self.factors.terms(batch))
        )
        if self.weights_sum_to_pairs:
            pooled_BK = pooled_BK * n_pairs(batch.mask).unsqueeze(1)
        return functional.dropout(pooled_BK, self.pooled_dropout, self.training)

    def _kept_pairs(self, batch: EncodedBatch) -> Tensor | None:
        """(B, pairs) factors of attention dropout, 0 or 1 / (1 - rate); None where nothing is dropped."""
        if not (self.training and self.attention_dropout):
            return None
        rows, m = batch.ids.shape
        return functional.dropout(torch.ones(rows, m * (m - 1) // 2, device=batch.ids.device), self.attention_dropout)

    def describe_kernel(self, n_fields: int, device: torch.device) -> str:
        """Implementation and precision that compute the attention of rows of `n_fields` features, for log lines.

        Args:
            device: where the model will compute.
        """
        chosen = choose(self.kernel, device, self.W.dtype, n_fields, self.W.shape[1], self.precision)
        repeated = ", repeated pairs once" if replaces(chosen, self.precision, *self.W.shape) else ""
        return describe(chosen, self.precision) + repeated

    @torch.no_grad()
    def start_as_sum(self, n_columns: int) -> None:
        """Make the initial output of a row without padding equal to that of an FM with the same embeddings.

        p becomes the number of pairs, and h = 0 makes attention uniform; h learns first, then W and b. With the
        authors' p = 1 the initial output is close to the mean of the interactions instead of their sum. Where the
        weights of a row add up to its pairs, p is 1, and the outputs of rows with padding are the FM's, too.

        Args:
            n_columns: F, the columns of a batch.
        """
        averaged = self.attention and not self.weights_sum_to_pairs
        self.p.fill_(n_columns * (n_columns - 1) / 2 if averaged else 1.0)
        self.h.zero_()


def n_pairs(mask_BF: Tensor) -> Tensor:
    """The number of pairs of features of each row, without padding: (B,) float32."""
    features_B = mask_BF.sum(dim=1, dtype=torch.float32)
    return features_B * (features_B - 1.0) / 2.0
