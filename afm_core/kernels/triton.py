"""Pair attention on GPUs, in Triton: one fused kernel forward, two backward.

Memory traffic is minimal: forward reads the embeddings of a batch and writes the pooled vectors and one score per
pair; backward reads those and writes the gradients. Everything in between is recomputed on chip.

Computation per row, in products of P pairs x k x t: 1 forward, 4 backward (the activations once in each kernel,
d_pairs, d_W). With `TRITON_INTERPRET=1` the same kernels run without a GPU, for tests.
"""

import importlib.util
import os
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

_TILE_BYTES = 1 << 15  # size of the factors of a tile of pairs
_MIN_DOT = 16  # smallest dimension of a tensor-core product
_SHARES = 64  # partial sums of the network's gradient, one per program, added at the end: deterministic, no atomics


@cache
def available() -> bool:
    """Whether Triton is installed and can run on a GPU or in its interpreter."""
    if importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.is_available() or _interpreted()


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def attend(
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    W: Tensor,
    b: Tensor,
    h: Tensor,
    keep: Tensor | None,
    *,
    bfloat16: bool,
    need_weights: bool,
) -> tuple[Tensor, Tensor | None]:
    """The operator `afm_core.kernels.pair_attention` on float32 tensors; `bfloat16` rounds the factors of its products.

    Args:
        gate: (B, F) x_i where the row has the feature, else 0.
        keep: (B, P) factors for the weights after the softmax, or None.
    """
    result: tuple[Tensor, Tensor | None] = _PairAttention.apply(  # type: ignore[no-untyped-call]
        v, gate, mask, W, b, h, keep, bfloat16, need_weights
    )
    return result


def tiling(fields: int, k: int, t: int, *, bfloat16: bool) -> dict[str, int]:
    """The compile-time constants for rows of `fields` features; see `triton_kernels`.

    They are chosen so that the compiler reports at most 160 KiB of shared memory for compute capability 8.0 and 9.0.
    """
    k_p = max(_MIN_DOT, _power_of_two(k))
    rows = max(_MIN_DOT, min(64, (_TILE_BYTES >> (1 if bfloat16 else 2)) // k_p))
    j = min(rows, _power_of_two(fields * (fields - 1) // 2))
    t_b = min(32, max(_MIN_DOT, _power_of_two(t)))
    fields_p = _power_of_two(max(fields, _MIN_DOT * j // rows))
    return {"E": rows // j, "J": j, "FIELDS_P": fields_p, "K_P": k_p, "T_B": t_b}


def _power_of_two(minimum: int) -> int:
    return 1 << (minimum - 1).bit_length()


def _kernels() -> ModuleType:
    from afm_core.kernels import triton_kernels

    return triton_kernels


@cache
def _sides(fields: int, device: torch.device) -> Tensor:
    """(2, P) int32, the left and the right field of each pair."""
    return torch.triu_indices(fields, fields, offset=1, dtype=torch.int32, device=device)


class _PairAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor | None]:
        *tensors, bfloat16, need_weights = arguments
        v, gate, mask, W, b, h = (tensor.detach().contiguous() for tensor in tensors[:6])
        keep = None if tensors[6] is None else tensors[6].contiguous()
        rows, fields, k = v.shape
        left, right = _sides(fields, v.device)
        pooled, log_sums = v.new_empty(rows, k), v.new_empty(rows)
        scores = v.new_empty(rows, len(left))
        size = tiling(fields, k, len(W), bfloat16=bfloat16)
        narrow = "rounded" if _interpreted() else "bfloat16"
        constants: dict[str, Any] = {"FACTORS": narrow if bfloat16 else "float32", "KEEP": keep is not None}
        constants |= {"num_warps": 8 if size["K_P"] > 64 else 4, "num_stages": 2}
        if rows:
            forward_size = {name: value for name, value in size.items() if name != "FIELDS_P"}
            _kernels().forward[-(-rows // size["E"]),](
                v, gate, mask.view(torch.uint8), W, b, h, gate if keep is None else keep, left, right,
                pooled, scores, log_sums, rows, fields, len(left), k, len(W), **forward_size, **constants,
            )  # fmt: skip
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(v, gate, W, b, h, keep, scores, log_sums)
            ctx.size, ctx.constants = size, constants
        if not need_weights:
            return pooled, None
        weights = torch.exp(scores - log_sums.unsqueeze(1))
        ctx.mark_non_differentiable(weights)
        return pooled, weights

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Any:
        v, gate, W, b, h, keep, scores, log_sums = ctx.saved_tensors  # type: ignore[attr-defined]
        size, constants = dict(ctx.size), dict(ctx.constants)  # type: ignore[attr-defined]
        rows, fields, k = v.shape
        left, right = _sides(fields, v.device)
        d_v, d_scores = torch.empty_like(v), torch.empty_like(scores)
        shares = min(_SHARES, -(-rows // size["E"]))
        passed, counted = v.new_empty(shares, *W.shape), v.new_empty(shares, len(W))
        if rows:
            shape = (rows, fields, len(left), k, len(W))
            _kernels().backward_embeddings[-(-rows // size["E"]),](
                v, gate, W, b, h, gate if keep is None else keep, left, right, scores, log_sums,
                gradients[0].contiguous(), d_scores, d_v, *shape, **size, **constants,
            )  # fmt: skip
            del size["FIELDS_P"], constants["KEEP"]
            _kernels().backward_network[-(-len(W) // size["T_B"]), shares](
                v, gate, W, b, h, left, right, d_scores, passed, counted, *shape, **size, **constants
            )
        G, counts = passed.sum(0), counted.sum(0)
        d_h = (W * G).sum(1) + b * counts
        return d_v, None, None, h.unsqueeze(1) * G, h * counts, d_h, None, None, None
