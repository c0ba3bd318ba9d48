"""Pair attention that computes the attention network once for each distinct pair of features in a batch.

Rows of logs share most of their pairs: 512 of Frappe's training rows have 38 % as many distinct pairs as pairs, 4,096
have 21 %. A pair has the same interaction (v_i * v_j) x_i x_j, and so the same score, in every row. Products with W, on
which a step spends nearly all of its time, are those of the distinct pairs alone. Softmax and pooling are a row's own;
with its weights a_ij in a symmetric (F, F) matrix, they cost F^2 K per row.

Exact: what differs from the other implementations is the order of sums. The gradients of a pair's rows are added up in
the order of the rows, so that the same batch gives the same bits.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from afm_core.kernels import native_cpu
from afm_core.kernels.large_pages import on_large_pages
from afm_core.kernels.native_library import native_library
from afm_core.kernels.reference import masked_softmax, pair_indices, pair_mask
from afm_core.settings.model import Precision

_PART_FLOATS = 1 << 18  # 1 MiB
_LEAST_PRODUCT = 64 * 64  # of k and t; below it, finding the pairs costs more than a few percent of a step
_SEEN_FIRST = 8  # an eighth of the rows tells a batch whose pairs hardly repeat, at an eighth of the cost
_MOST_DISTINCT = {"tiled": (0.98, 0.85), "native": (0.94, 0.6)}
"""Largest share of distinct pairs, in the first eighth of a batch and in all of it, with which a step is faster than by
the implementation that would compute it otherwise. Uniform ids that reach the first share reach the second, too. Those
of `tiled` were measured with AVX2; those of `native` are estimates, for it gets more out of a processor."""


@dataclass(frozen=True)
class DistinctPairs:
    """The distinct pairs of a batch of B rows of F features, D of them distinct."""

    feature: Tensor
    """(D,) int64, where each distinct feature, with its x_i, first stands among the B F features."""
    first: Tensor
    second: Tensor
    """(U,) int64, the features of each distinct pair, as positions in `feature`."""
    of_row: Tensor
    """(B, P) int64, the distinct pair that each pair of a row is."""


def replaces(chosen: str, precision: Precision, t: int, k: int) -> bool:
    """Whether it may compute, where pairs repeat, what an implementation would compute otherwise."""
    in_bfloat16 = chosen == "native" and precision == "bfloat16" and native_cpu.level() > 1
    return chosen in _MOST_DISTINCT and not in_bfloat16 and t * k >= _LEAST_PRODUCT and native_library() is not None


def find(ids: Tensor, gate: Tensor, otherwise: str) -> DistinctPairs | None:
    """The distinct pairs of a batch, or None where computing each pair of each row is faster.

    It depends on the arguments alone, so a training that is continued computes as one that was not stopped. Cost: some
    20 ns for each of the B P pairs.

    Args:
        ids: (B, F) int64, from 0 to 2^31 - 1.
        gate: (B, F) float32, x_i, 0 where the row has no such feature.
        otherwise: the implementation that computes all pairs; one that it `replaces`.
    """
    most_first, most = _MOST_DISTINCT[otherwise]
    first = len(ids) // _SEEN_FIRST
    if _share(_find(ids[:first], gate[:first])) > most_first:
        return None
    pairs = _find(ids, gate)
    return pairs if _share(pairs) <= most else None


def _share(pairs: DistinctPairs) -> float:
    return len(pairs.first) / max(1, pairs.of_row.numel())


def _find(ids: Tensor, gate: Tensor) -> DistinctPairs:
    x_bits = gate.contiguous().view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    feature, of_field = _distinct(((ids << 32) | x_bits).reshape(-1))
    of_field = of_field.view(ids.shape)
    left, right = (of_field.index_select(1, column) for column in _columns(ids.shape[1]))
    lower, upper = torch.minimum(left, right), torch.maximum(left, right)
    position, of_row = _distinct((lower * len(feature) + upper).reshape(-1))
    return DistinctPairs(feature, lower.view(-1)[position], upper.view(-1)[position], of_row.view(lower.shape))


def _distinct(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Where each distinct key first stands, (D,), and which of these each key is, (N,); in the order of the keys."""
    library = native_library()
    assert library is not None
    first, inverse = torch.empty_like(keys), torch.empty_like(keys)
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (keys, first, inverse))
    keys_ptr, first_ptr, inverse_ptr = pointers
    found = library.afm_distinct(keys_ptr, ctypes.c_int64(len(keys)), first_ptr, inverse_ptr)
    return first[:found], inverse


@cache
def _columns(fields: int) -> tuple[Tensor, Tensor]:
    """(P,) int64 each: i and j of the pairs."""
    pairs = torch.tensor(pair_indices(fields))
    return pairs[:, 0].contiguous(), pairs[:, 1].contiguous()


@cache
def _positions(fields: int) -> tuple[Tensor, Tensor]:
    """Where the pairs stand in an (F, F) matrix, (P,), and the pair at each of its places, (F F,), P for none."""
    pairs = pair_indices(fields)
    at = torch.full((fields, fields), len(pairs))
    for pair, (i, j) in enumerate(pairs):
        at[i, j] = at[j, i] = pair
    return torch.tensor([i * fields + j for i, j in pairs]), at.reshape(-1)


def attend(
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    W: Tensor,
    b: Tensor,
    h: Tensor,
    keep: Tensor | None,
    pairs: DistinctPairs,
) -> tuple[Tensor, Tensor]:
    """The operator `afm_core.kernels.pair_attention` on float32 tensors; the weights are not differentiable.

    Args:
        gate: (B, F) x_i where the row has the feature, else 0.
        keep: (B, P) factors for the weights after the softmax, or None.
        pairs: those of the ids of `v`, with these x_i.
    """
    result: tuple[Tensor, Tensor] = _PairAttention.apply(v, gate, mask, W, b, h, keep, pairs)  # type: ignore[no-untyped-call]
    return result


class _PairAttention(torch.autograd.Function):
    """Works on as many pairs, and then rows, at a time as fit into a processor's cache."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        *tensors, pairs = arguments
        v, gate, mask, W, b, h, keep = tensors
        terms_DK = _terms(v, gate, pairs)
        active_UA = on_large_pages(v.new_empty(len(pairs.first), len(W)))
        scores_U = v.new_empty(len(pairs.first))
        for part in _parts(len(pairs.first), max(W.shape)):
            active = torch.addmm(b, _products(terms_DK, pairs, part), W.T, out=active_UA[part]).relu_()
            torch.mv(active, h, out=scores_U[part])
        weights_BP = masked_softmax(scores_U[pairs.of_row], pair_mask(mask))
        used_BP = weights_BP if keep is None else weights_BP * keep
        pooled_BK = v.new_empty(len(v), v.shape[2])
        for rows in _parts(len(v), v.shape[1] * v.shape[2]):
            terms_BFK = v[rows] * gate[rows].unsqueeze(-1)
            sums_BFK = torch.bmm(_symmetric(used_BP[rows], v.shape[1]), terms_BFK)  # sum_j a_ij v_j x_j
            torch.sum(sums_BFK.mul_(terms_BFK), dim=1, out=pooled_BK[rows])
        ctx.pairs = pairs
        ctx.save_for_backward(v, gate, W, h, keep, weights_BP, active_UA)
        ctx.mark_non_differentiable(weights_BP)
        return pooled_BK.div_(2.0), weights_BP

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        v, gate, W, h, keep, weights_BP, active_UA = ctx.saved_tensors
        pairs, d_pooled_B1K = ctx.pairs, gradients[0].unsqueeze(1)
        used_BP = weights_BP if keep is None else weights_BP * keep
        d_v = on_large_pages(torch.empty_like(v))
        d_scores_BP = torch.empty_like(weights_BP)
        for rows in _parts(len(v), v.shape[1] * v.shape[2]):
            gate_BF1 = gate[rows].unsqueeze(-1)
            terms_BFK = v[rows] * gate_BF1
            products_BFF = torch.bmm(terms_BFK * d_pooled_B1K[rows], terms_BFK.transpose(1, 2))
            d_scores_BP[rows] = _softmax_backward(products_BFF, used_BP[rows], weights_BP[rows])
            sums_BFK = torch.bmm(_symmetric(used_BP[rows], v.shape[1]), terms_BFK)
            torch.mul(sums_BFK.mul_(d_pooled_B1K[rows]), gate_BF1, out=d_v[rows])
        d_scores_U = h.new_zeros(len(active_UA)).index_add_(0, pairs.of_row.flatten(), d_scores_BP.flatten())
        terms_DK = _terms(v, gate, pairs)
        d_W, d_b, d_h, d_terms_DK = (torch.zeros_like(each) for each in (W, W[:, 0], h, terms_DK))
        for part in _parts(len(pairs.first), max(W.shape)):
            d_h.addmv_(active_UA[part].T, d_scores_U[part])
            d_active_UA = torch.outer(d_scores_U[part], h).mul_(active_UA[part] > 0.0)
            d_b += d_active_UA.sum(0)
            d_W.addmm_(d_active_UA.T, _products(terms_DK, pairs, part))
            _add_gradients(terms_DK, pairs, part, d_active_UA @ W, d_terms_DK)
        d_v.flatten(0, 1)[pairs.feature] += d_terms_DK * gate.flatten()[pairs.feature].unsqueeze(1)
        return d_v, None, None, d_W, d_b, d_h, None, None


def _parts(count: int, width: int) -> Iterator[slice]:
    step = max(1, _PART_FLOATS // width)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _terms(v: Tensor, gate: Tensor, pairs: DistinctPairs) -> Tensor:
    """v_i x_i of each distinct feature: (D, K)."""
    return v.flatten(0, 1)[pairs.feature] * gate.flatten()[pairs.feature].unsqueeze(1)


def _products(terms_DK: Tensor, pairs: DistinctPairs, part: slice) -> Tensor:
    """(v_i * v_j) x_i x_j of some of the distinct pairs."""
    products = terms_DK.new_empty(part.stop - part.start, terms_DK.shape[1])
    _call("afm_pair_products", terms_DK, pairs, part, products)
    return products


def _add_gradients(terms_DK: Tensor, pairs: DistinctPairs, part: slice, d_products: Tensor, d_terms_DK: Tensor) -> None:
    """Add the gradient of the terms from that of their products, in the order of the pairs."""
    _call("afm_add_pair_gradients", terms_DK, pairs, part, d_products, d_terms_DK)


def _call(function: str, terms_DK: Tensor, pairs: DistinctPairs, part: slice, *tensors: Tensor) -> None:
    first, second = pairs.first[part], pairs.second[part]
    getattr(native_library(), function)(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (terms_DK, first, second)),
        ctypes.c_int64(len(first)),
        ctypes.c_int64(terms_DK.shape[1]),
        ctypes.c_int(torch.get_num_threads()),
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors),
    )


def _softmax_backward(products_BFF: Tensor, used_BP: Tensor, weights_BP: Tensor) -> Tensor:
    """The gradient of the scores, where products_BFF has those of the weights at the places of the pairs."""
    places, _ = _positions(products_BFF.shape[1])
    weighted_BP = used_BP * products_BFF.flatten(1).index_select(1, places)
    return weighted_BP - weights_BP * weighted_BP.sum(1, keepdim=True)


def _symmetric(of_pairs_BP: Tensor, fields: int) -> Tensor:
    """(B, F, F) with the number of each pair at both of its places, and zeros on the diagonal."""
    _, pair_at = _positions(fields)
    with_zero = torch.cat([of_pairs_BP, of_pairs_BP.new_zeros(len(of_pairs_BP), 1)], dim=1)
    return with_zero.index_select(1, pair_at).view(-1, fields, fields)
