"""Pair attention on processors with AVX-512: the C++ of `native/`, compiled when the package is set up.

It processes tiles of 16 rows, one row per vector lane. The (B, P, K) interactions are never stored as a whole, only
blocks of 4 pairs in the first-level cache. Forward stores one bit for each pair and row of W: whether ReLU was active.
With these bits backward needs two matrix products and does not recompute the activations. Tiles run in parallel on
torch's threads.
"""

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from afm_core.kernels.native_library import native_library

_MAX_FIELDS = 256
_INPUTS = ("v", "gate", "mask", "W", "b", "h", "keep")
_RESULTS = ("pooled", "weights", "active", "d_pooled", "d_v", "d_W", "d_b", "d_h")


class _Problem(ctypes.Structure):
    """Mirrors `afm::Problem` in native/problem.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("rows", "fields", "k", "t")] + [
        (name, ctypes.c_void_p) for name in (*_INPUTS, *_RESULTS)
    ]


@cache
def level() -> int:
    """What this processor supports: 0 nothing, 1 float32, 2 also bfloat16."""
    library = native_library()
    return 0 if library is None else int(library.afm_level())


def fits(n_fields: int) -> bool:
    """Whether this implementation can compute rows of `n_fields` features on this processor."""
    return level() > 0 and 2 <= n_fields <= _MAX_FIELDS


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
        v, gate, mask, W, b, h, keep, bfloat16 and level() > 1, need_weights
    )
    return result


class _PairAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor | None]:
        *tensors, bfloat16, need_weights = arguments
        v, gate, mask, W, b, h = (tensor.detach().contiguous() for tensor in tensors[:6])
        keep = None if tensors[6] is None else tensors[6].contiguous()
        rows, fields, k = v.shape
        training = any(ctx.needs_input_grad)
        pooled = torch.empty(rows, k)
        weights = torch.empty(rows, fields * (fields - 1) // 2) if training or need_weights else None
        problem = _problem(v=v, gate=gate, mask=mask, W=W, b=b, h=h, keep=keep, pooled=pooled, weights=weights)
        active = None
        if training:
            active = torch.empty(_required().afm_active_bits(ctypes.byref(problem)), dtype=torch.int16)
            problem.active = active.data_ptr()
        _run(_required().afm_forward, problem, bfloat16)
        if training:
            ctx.save_for_backward(v, gate, mask, W, b, h, keep, weights, active)
            ctx.bfloat16 = bfloat16
        if weights is not None:
            ctx.mark_non_differentiable(weights)
        return pooled, weights if need_weights else None

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Any:
        v, gate, mask, W, b, h, keep, weights, active = ctx.saved_tensors  # type: ignore[attr-defined]
        d_v, d_W, d_b, d_h = (torch.empty_like(tensor) for tensor in (v, W, b, h))
        inputs = {"v": v, "gate": gate, "mask": mask, "W": W, "b": b, "h": h, "keep": keep, "weights": weights}
        outputs = {"d_v": d_v, "d_W": d_W, "d_b": d_b, "d_h": d_h}
        d_pooled = gradients[0].contiguous()
        problem = _problem(**inputs, **outputs, active=active, d_pooled=d_pooled)
        _run(_required().afm_backward, problem, ctx.bfloat16)  # type: ignore[attr-defined]
        return d_v, None, None, d_W, d_b, d_h, None, None, None


def _problem(**tensors: Tensor | None) -> _Problem:
    v, W = tensors["v"], tensors["W"]
    assert v is not None
    assert W is not None
    pointers = {name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None}
    return _Problem(rows=v.shape[0], fields=v.shape[1], k=v.shape[2], t=W.shape[0], **pointers)


def _required() -> ctypes.CDLL:
    library = native_library()
    assert library is not None, "callers must check fits() first"
    return library


def _run(function: Any, problem: _Problem, bfloat16: bool) -> None:
    """Call a function of the library.

    Raises:
        MemoryError: a thread could not allocate its scratch memory.
    """
    if not function(ctypes.byref(problem), ctypes.c_bool(bfloat16), ctypes.c_int(torch.get_num_threads())):
        raise MemoryError("pair attention: out of memory for a tile of 16 rows; use a smaller model.embedding_dim")
