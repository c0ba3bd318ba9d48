"""Pair attention in plain torch: the definition that every faster implementation must equal.

Shapes: B batch, F fields, P = F(F-1)/2 pairs, K embedding size (the paper's k), A attention size (the paper's t).
Pairs stand in the order (0,1), (0,2), ..., (0,F-1), (1,2), ...: the same as `pair_indices`.
"""

import torch
from torch import Tensor
from torch.nn import functional


def pair_indices(n_fields: int) -> list[tuple[int, int]]:
    """The P pairs (i, j), i < j, in the order of every tensor with an axis P."""
    return [(i, j) for i in range(n_fields) for j in range(i + 1, n_fields)]


def pair_attention(
    v: Tensor, x: Tensor, mask: Tensor, W: Tensor, b: Tensor, h: Tensor, *, attention_dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Attention-weighted sum of the pair-wise interactions (Xiao et al. 2017, section 3, equations 2, 4 and 5).

    a'_ij = h^T ReLU(W (v_i * v_j) x_i x_j + b), a = softmax of a' over the unmasked pairs of the row, and
    pooled = sum over pairs of a_ij (v_i * v_j) x_i x_j.

    Args:
        v: (B, F, K) floats, the embeddings of the features of each row.
        x: (B, F) floats, their values.
        mask: (B, F) bool, False where the row has no feature; a pair is masked where either side is.
        W: (A, K), b: (A,), h: (A,) floats, the attention network.
        attention_dropout: probability of dropping a weight after the softmax; 0 outside training.

    Returns:
        pooled (B, K), and the weights (B, P) before dropout: each row sums to 1, masked pairs have 0, and a row
        without any pair has only zeros and a pooled vector of zeros.
    """
    terms_BFK = v * (x * mask).unsqueeze(-1)
    last = v.shape[1] - 1
    pairs_BPK = torch.cat([terms_BFK[:, i : i + 1] * terms_BFK[:, i + 1 :] for i in range(last)], dim=1)
    mask_BP = torch.cat([mask[:, i : i + 1] & mask[:, i + 1 :] for i in range(last)], dim=1)
    scores_BP = functional.relu(functional.linear(pairs_BPK, W, b)) @ h
    scores_BP = scores_BP.masked_fill(~mask_BP, torch.finfo(scores_BP.dtype).min)
    weights_BP = torch.softmax(scores_BP, dim=1).masked_fill(~mask_BP, 0.0)
    used_BP = functional.dropout(weights_BP, attention_dropout) if attention_dropout else weights_BP
    pooled_BK = torch.bmm(used_BP.unsqueeze(1), pairs_BPK).squeeze(1)
    return pooled_BK, weights_BP
