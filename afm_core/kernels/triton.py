"""Pair attention on GPUs, in Triton: three kernels forward, four backward.

What is stored between them: the weights, one float per pair, and in training one bit for each pair and row of W. The
interactions never reach memory. Products of P pairs x k x t per row: 1 forward, 2 backward (d_pairs and d_W).

With `TRITON_INTERPRET=1` the same kernels run without a GPU, for tests.
"""

import importlib.util
import os
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from afm_core.kernels.triton_tilings import Kernel, Tiling, constants, tiling, word_bits

_PROGRAMS = 512  # enough to fill a card
_INTERPRETED_ROWS = 16  # fewer than on a card, so that a test of 20 rows has several tiles
_WARPS = 1024  # of `backward_network`, whose programs each hold a sum: added at the end, deterministic, no atomics


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


@cache
def _capability(device: torch.device) -> int:
    if device.type != "cuda":
        return 90
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def kernel_function(kernel: Kernel) -> Any:
    """The compiled function of a kernel; imports Triton."""
    from afm_core.kernels import triton_backward, triton_forward

    return getattr(triton_backward if kernel.startswith("backward") else triton_forward, kernel)


@cache
def _sides(fields: int, device: torch.device) -> Tensor:
    """(2, P) int32, the left and the right field of each pair."""
    return torch.triu_indices(fields, fields, offset=1, dtype=torch.int32, device=device)


@dataclass(frozen=True)
class _Launcher:
    """The kernels for one batch."""

    v: Tensor
    W: Tensor
    bfloat16: bool

    @property
    def sizes(self) -> dict[str, int]:
        rows, fields, k = self.v.shape
        t = len(self.W)
        words = -(-t // word_bits(t))
        return {"rows": rows, "fields": fields, "pairs": fields * (fields - 1) // 2, "k": k, "t": t, "words": words}

    def factors(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """W and h W as the kernels read them."""
        dtype = torch.bfloat16 if self.bfloat16 and not _interpreted() else torch.float32
        W_factors, hW_factors = torch.empty_like(self.W, dtype=dtype), torch.empty_like(self.W, dtype=dtype)
        t_blocks = -(-len(h) // self.tiling("prepare").T_B)
        grid = t_blocks, self.blocks_of_columns("prepare")
        self.launch("prepare", grid, W=self.W, h=h, W_factors=W_factors, hW_factors=hW_factors)
        return W_factors, hW_factors

    def tiling(self, kernel: Kernel) -> Tiling:
        k, t = self.sizes["k"], self.sizes["t"]
        found = tiling(kernel, k, t, bfloat16=self.bfloat16, capability=_capability(self.v.device))
        return replace(found, M=_INTERPRETED_ROWS) if _interpreted() else found

    def launch(self, kernel: Kernel, grid: tuple[int, ...], **arguments: object) -> None:
        """Launch it on `grid` programs, with its tensors and switches; sizes and tiling are added."""
        function = kernel_function(kernel)
        narrow = "rounded" if _interpreted() else "bfloat16"
        fixed = {**self.sizes, "FACTORS": narrow if self.bfloat16 else "float32"}
        given = {name: value for name, value in fixed.items() if name in function.arg_names}
        function[grid](**given, **arguments, **constants(function.arg_names, self.tiling(kernel)))

    def blocks_of_rows(self, kernel: Kernel) -> int:
        return -(-len(self.v) // self.tiling(kernel).M)

    def blocks_of_columns(self, kernel: Kernel) -> int:
        return -(-self.sizes["k"] // self.tiling(kernel).K_B)


class _PairAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor | None]:
        *tensors, bfloat16, need_weights = arguments
        v, gate, mask, W, b, h = (tensor.detach().contiguous() for tensor in tensors[:6])
        keep = None if tensors[6] is None else tensors[6].t().contiguous()
        here = _Launcher(v, W, bfloat16)
        rows, pairs = len(v), here.sizes["pairs"]
        training = any(ctx.needs_input_grad)
        left, right = _sides(v.shape[1], v.device)
        pooled, scores, weights = v.new_empty(rows, v.shape[2]), v.new_empty(pairs, rows), v.new_empty(pairs, rows)
        active = torch.empty(pairs if training else 0, here.sizes["words"], rows, dtype=torch.int32, device=v.device)
        W_factors, hW_factors = here.factors(h)
        if rows:
            blocks = here.blocks_of_rows("score")
            here.launch(
                "score", (blocks, min(pairs, -(-_PROGRAMS // blocks))),
                v=v, gate=gate, mask=mask.view(torch.uint8), W_factors=W_factors, b=b, h=h, left=left, right=right,
                scores=scores, active=active, TRAINING=training,
            )  # fmt: skip
            here.launch(
                "pool", (here.blocks_of_rows("pool"), here.blocks_of_columns("pool")),
                v=v, gate=gate, keep=gate if keep is None else keep, scores=scores, weights=weights, pooled=pooled,
                KEEP=keep is not None,
            )  # fmt: skip
        if training:
            ctx.save_for_backward(v, gate, W, b, h, keep, weights, active, hW_factors)
            ctx.bfloat16 = bfloat16
        if not need_weights:
            return pooled, None
        shown = weights.t()
        ctx.mark_non_differentiable(shown)
        return pooled, shown

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Any:
        v, gate, W, b, h, keep, weights, active, hW_factors = ctx.saved_tensors  # type: ignore[attr-defined]
        here = _Launcher(v, W, ctx.bfloat16)  # type: ignore[attr-defined]
        t, k = W.shape
        left, right = _sides(v.shape[1], v.device)
        d_pooled, d_v, d_scores = gradients[0].contiguous(), torch.empty_like(v), torch.empty_like(weights)
        of_network = here.tiling("backward_network")
        blocks = -(-t // of_network.T_B), here.blocks_of_columns("backward_network")
        most = max(1, _WARPS // of_network.num_warps // (blocks[0] * blocks[1]))
        shares = min(most, here.blocks_of_rows("backward_network") * here.sizes["pairs"])
        passed, counted = v.new_empty(shares, t, k), v.new_empty(shares, t)
        if len(v):
            kept = {"keep": gate if keep is None else keep, "KEEP": keep is not None}
            shared = {"v": v, "gate": gate, "d_scores": d_scores}
            here.launch(
                "backward_scores", (here.blocks_of_rows("backward_scores"),),
                **shared, **kept, weights=weights, d_pooled=d_pooled,
            )  # fmt: skip
            here.launch(
                "backward_embeddings",
                (here.blocks_of_rows("backward_embeddings"), here.blocks_of_columns("backward_embeddings")),
                **shared, **kept, hW_factors=hW_factors, weights=weights, active=active,
                d_pooled=d_pooled, d_v=d_v,
            )  # fmt: skip
            here.launch(
                "backward_network", (*blocks, shares),
                **shared, left=left, right=right, active=active, passed=passed, counted=counted,
            )  # fmt: skip
        d_W, d_b, d_h = torch.empty_like(W), torch.empty_like(b), torch.empty_like(h)
        here.launch(
            "backward_sums", (t,),
            passed=passed, counted=counted, W=W, b=b, h=h, d_W=d_W, d_b=d_b, d_h=d_h, shares=shares,
        )  # fmt: skip
        return d_v, None, None, d_W, d_b, d_h, None, None, None
