"""Pair attention in torch, a few rows at a time, for processors that `native_cpu` does not support.

The (tile, P, K) interactions of one tile fit into a processor's cache; backward recomputes them.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from afm_core.kernels.reference import interactions, masked_softmax, pair_mask

_TILE_FLOATS = 1 << 18  # 1 MiB, for the interactions of a tile or its activations


def attend(
    v: Tensor, gate: Tensor, mask: Tensor, W: Tensor, b: Tensor, h: Tensor, keep: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The operator `afm_core.kernels.pair_attention` on float32 tensors; the weights are not differentiable.

    Args:
        gate: (B, F) x_i where the row has the feature, else 0.
        keep: (B, P) factors for the weights after the softmax, or None.
    """
    result: tuple[Tensor, Tensor] = _PairAttention.apply(v, gate, mask, W, b, h, keep)  # type: ignore[no-untyped-call]
    return result


def _tiles(v: Tensor, W: Tensor) -> Iterator[slice]:
    rows, fields, k = v.shape
    step = max(1, _TILE_FLOATS // (fields * (fields - 1) // 2 * max(k, W.shape[0])))
    for start in range(0, rows, step):
        yield slice(start, start + step)


class _PairAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *tensors: Any) -> tuple[Tensor, Tensor]:
        v, gate, mask, W, b, h, keep = tensors
        rows, fields, k = v.shape
        pooled, weights = v.new_empty(rows, k), v.new_empty(rows, fields * (fields - 1) // 2)
        for tile in _tiles(v, W):
            pairs = interactions(v[tile] * gate[tile].unsqueeze(-1))
            scores = functional.relu(functional.linear(pairs, W, b)) @ h
            weights[tile] = masked_softmax(scores, pair_mask(mask[tile]))
            used = weights[tile] if keep is None else weights[tile] * keep[tile]
            pooled[tile] = torch.bmm(used.unsqueeze(1), pairs).squeeze(1)
        ctx.save_for_backward(*tensors, weights)
        ctx.mark_non_differentiable(weights)
        return pooled, weights

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        v, gate, _, W, b, h, keep, weights = ctx.saved_tensors
        d_v, d_W = torch.empty_like(v), torch.zeros_like(W)
        d_b, d_h = torch.zeros_like(b), torch.zeros_like(h)
        for tile in _tiles(v, W):
            terms, d_pooled = v[tile] * gate[tile].unsqueeze(-1), gradients[0][tile].unsqueeze(1)
            pairs = interactions(terms)
            used = weights[tile] if keep is None else weights[tile] * keep[tile]
            weighted = used * (d_pooled * pairs).sum(-1)
            d_scores = weighted - weights[tile] * weighted.sum(1, keepdim=True)
            active = functional.relu(functional.linear(pairs, W, b))
            d_h += (d_scores.unsqueeze(-1) * active).sum((0, 1))
            d_active = d_scores.unsqueeze(-1) * ((active > 0) * h)
            d_b += d_active.sum((0, 1))
            d_W += d_active.flatten(0, 1).T @ pairs.flatten(0, 1)
            d_pairs = torch.addcmul(d_active @ W, used.unsqueeze(-1), d_pooled)
            d_v[tile] = _d_terms(d_pairs, terms) * gate[tile].unsqueeze(-1)
        return d_v, None, None, d_W, d_b, d_h, None


def _d_terms(d_pairs_BPK: Tensor, terms_BFK: Tensor) -> Tensor:
    d_terms_BFK = torch.zeros_like(terms_BFK)
    first = 0
    for i in range(terms_BFK.shape[1] - 1):
        d_right = d_pairs_BPK[:, first : first + terms_BFK.shape[1] - 1 - i]
        d_terms_BFK[:, i] += (d_right * terms_BFK[:, i + 1 :]).sum(1)
        d_terms_BFK[:, i + 1 :] += d_right * terms_BFK[:, i : i + 1]
        first += d_right.shape[1]
    return d_terms_BFK
