"""How far the Triton kernels are from the reference, for `tests.benchmarks.gpu`."""

import torch
from torch import Tensor

from afm_core.kernels import reference, triton
from tests.benchmarks.contestants import Shape
from tests.benchmarks.measuring import DEVICE

MOST_ROWS = 512 if DEVICE.type == "cuda" else 16  # the reference in float64 keeps every interaction


def errors(shape: Shape, precision: str) -> list[float]:
    """Largest difference over the largest value: pooled, weights, and gradients of v, W, b and h."""
    generator = torch.Generator().manual_seed(1)
    rows, m, k = shape.rows, shape.m, shape.k

    def normal(*size: int, std: float) -> Tensor:
        return (torch.randn(*size, generator=generator) * std).to(DEVICE)

    leaves = [normal(rows, m, k, std=0.3), normal(k, k, std=k**-0.5), normal(k, std=k**-0.5), normal(k, std=1.0)]
    mask = (torch.rand(rows, m, generator=generator) > 0.1).to(DEVICE)
    gate, upstream = (1.0 + normal(rows, m, std=0.5)) * mask, normal(rows, k, std=1.0)
    found = _results(leaves, gate, mask, upstream, precision)
    wanted = _results([leaf.double() for leaf in leaves], gate.double(), mask, upstream.double(), None)
    return [
        float((ours.double() - exact).abs().max() / exact.abs().max())
        for ours, exact in zip(found, wanted, strict=True)
    ]


def _results(leaves: list[Tensor], gate: Tensor, mask: Tensor, upstream: Tensor, precision: str | None) -> list[Tensor]:
    v, W, b, h = (leaf.detach().clone().requires_grad_() for leaf in leaves)
    if precision is None:
        pooled, weights = reference.attend(v, gate, mask, W, b, h, None)
    else:
        narrow = precision == "bfloat16"
        pooled, weights = triton.attend(v, gate, mask, W, b, h, None, bfloat16=narrow, need_weights=True)
    assert weights is not None
    return [pooled.detach(), weights.detach(), *torch.autograd.grad(pooled, (v, W, b, h), upstream)]
