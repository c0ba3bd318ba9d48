"""Pair attention: the pair-wise interactions of a batch and their attention.

One operator with several implementations; one test suite checks all of them against `reference`.
"""

import torch
from torch import Tensor

from afm_core.kernels import distinct_pairs, native_cpu, reference, tiled_cpu, triton
from afm_core.kernels.dispatch import choose, describe
from afm_core.kernels.reference import pair_indices
from afm_core.settings.model import Kernel, Precision


def pair_attention(
    v: Tensor,
    x: Tensor,
    mask: Tensor,
    W: Tensor,
    b: Tensor,
    h: Tensor,
    *,
    keep: Tensor | None = None,
    ids: Tensor | None = None,
    need_weights: bool = True,
    precision: Precision = "float32",
    kernel: Kernel = "auto",
) -> tuple[Tensor, Tensor | None]:
    """Attention-weighted sum of the pair-wise interactions (Xiao et al. 2017, section 3, equations 2, 4 and 5).

    a'_ij = h^T ReLU(W (v_i * v_j) x_i x_j + b), a = softmax of a' over the unmasked pairs of the row, and
    pooled = sum over pairs of a_ij (v_i * v_j) x_i x_j.

    Args:
        v: (B, F, K) floats, the embeddings of the features of each row, F at least 2.
        x: (B, F) floats, their values x_i.
        mask: (B, F) bool, False where the row has no feature; a pair is masked where either of its features is.
        W: (A, K) floats, with b: (A,) and h: (A,) the attention network.
        keep: (B, P) factors for the weights after the softmax, 0 or 1 / (1 - rate), for attention dropout.
        ids: (B, F) int64, by which `v` was looked up in a table: equal ids have equal vectors. Where a CPU computes
            gradients in float32 and pairs of features repeat in the batch, each is then computed once.
        need_weights: whether to return the weights.
        precision: of the factors of the matrix products, where the hardware supports it; sums are float32.
        kernel: the implementation; `auto` chooses the fastest one for device, dtype and number of fields.

    Returns:
        the pooled vectors, (B, K) in the dtype of `v`, and the weights before `keep`, (B, P), or None. The weights of a
        row sum to 1; masked pairs have weight 0. A row without any pair has zero weights and a zero pooled vector. Only
        the reference differentiates the weights.

    Raises:
        MachineError: `kernel` cannot run on this machine.
    """
    chosen = choose(kernel, v.device, v.dtype, v.shape[1], v.shape[2], precision)
    gate = x * mask
    if gate.requires_grad:  # the fast implementations do not differentiate the values
        v, gate, ids = v * gate.unsqueeze(-1), mask.to(v.dtype), None
    if chosen == "reference":
        pooled, weights = reference.attend(v, gate, mask, W, b, h, keep)
        return pooled, weights if need_weights else None
    v32, gate32, W32, b32, h32 = (tensor.float() for tensor in (v, gate, W, b, h))
    if ids is not None and torch.is_grad_enabled() and distinct_pairs.replaces(chosen, precision, *W.shape):
        pairs = distinct_pairs.find(ids, gate32, chosen)
        if pairs:
            pooled, weights = distinct_pairs.attend(v32, gate32, mask, W32, b32, h32, keep, pairs)
            return pooled.to(v.dtype), weights if need_weights else None
    if chosen == "tiled":
        pooled, weights = tiled_cpu.attend(v32, gate32, mask, W32, b32, h32, keep)
        return pooled.to(v.dtype), weights if need_weights else None
    implementation = triton if chosen == "triton" else native_cpu
    bfloat16 = precision == "bfloat16"
    pooled, weights_or_none = implementation.attend(
        v32, gate32, mask, W32, b32, h32, keep, bfloat16=bfloat16, need_weights=need_weights
    )
    return pooled.to(v.dtype), weights_or_none


__all__ = ["choose", "describe", "pair_attention", "pair_indices"]
