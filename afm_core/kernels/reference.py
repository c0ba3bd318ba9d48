"""Pair attention in plain torch: the definition that every faster implementation must match.

Shapes: B batch, F fields, P = F(F-1)/2 pairs, K embedding size (the paper's k), A attention size (the paper's t).
Pairs are in the order (0,1), (0,2), ..., (0,F-1), (1,2), ..., as in `pair_indices`.
"""

import torch
from torch import Tensor
from torch.nn import functional


def pair_indices(n_fields: int) -> list[tuple[int, int]]:
    """The P pairs (i, j), i < j, in the order of every tensor with an axis P."""
    return [(i, j) for i in range(n_fields) for j in range(i + 1, n_fields)]


def interactions(terms_BFK: Tensor) -> Tensor:
    """(B, P, K) products e_i * e_j of all pairs, from slices of the fields, which saves the copies of a gather."""
    last = terms_BFK.shape[1] - 1
    return torch.cat([terms_BFK[:, i : i + 1] * terms_BFK[:, i + 1 :] for i in range(last)], dim=1)


def pair_mask(mask_BF: Tensor) -> Tensor:
    """(B, P) bool, True where the row has both features of the pair."""
    last = mask_BF.shape[1] - 1
    return torch.cat([mask_BF[:, i : i + 1] & mask_BF[:, i + 1 :] for i in range(last)], dim=1)


def masked_softmax(scores_BP: Tensor, mask_BP: Tensor) -> Tensor:
    """Softmax over the unmasked pairs of each row; masked pairs get 0, and so do all pairs of a row without any."""
    lowest = torch.finfo(scores_BP.dtype).min
    return torch.softmax(scores_BP.masked_fill(~mask_BP, lowest), dim=1).masked_fill(~mask_BP, 0.0)


def attend(
    v: Tensor, gate: Tensor, mask: Tensor, W: Tensor, b: Tensor, h: Tensor, keep: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The operator `afm_core.kernels.pair_attention`, differentiable in every tensor, in the dtype of `v`.

    Args:
        gate: (B, F) x_i where the row has the feature, else 0.
        keep: (B, P) factors for the weights after the softmax, or None.
    """
    pairs_BPK = interactions(v * gate.unsqueeze(-1))
    scores_BP = functional.relu(functional.linear(pairs_BPK, W, b)) @ h
    weights_BP = masked_softmax(scores_BP, pair_mask(mask))
    used_BP = weights_BP if keep is None else weights_BP * keep
    return torch.bmm(used_BP.unsqueeze(1), pairs_BPK).squeeze(1), weights_BP
