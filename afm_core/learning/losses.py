"""Training losses: the sum over the rows of a batch, which adds up exactly over ranks, and the number of terms."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, int | Tensor]]
"""Maps outputs (B,), labels (B,) and weights (B,) or None to the sum of the terms, a scalar, and their number.

The number is a tensor where it depends on the labels, so that a GPU is not waited for.
"""


def squared_error(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
    """Sum of w (y - label)^2, a scalar, and the number of rows.

    Args:
        output: (B,) float, y.
        label: (B,) float.
        weight: (B,) float, w; all 1 if None.
    """
    return _sum_of_squares(output - label, weight), len(label)


def squared_error_with_overshoot_penalty(overshoot_penalty: float) -> Loss:
    """`squared_error` with the error of a row that overshoots its label multiplied by `overshoot_penalty`.

    An output overshoots where it is beyond 1 for the label 1, or below -1 for the label -1; evaluation clips it to the
    label. With labels -1 and 1, a penalty of 0 makes this max(0, 1 - label y)^2, the squared hinge loss.
    """

    def loss(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
        error = output - label
        end_of_range = label.trunc()  # -1 or 1 at the ends, 0 between them
        factor = torch.where(error.detach() * end_of_range > 0.0, overshoot_penalty, 1.0)
        return _sum_of_squares(error, factor if weight is None else factor * weight), len(label)

    return loss


def log_loss(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
    """Sum of -w ln sigmoid(label y) in nats, a scalar, and the number of rows. Labels are -1 or 1."""
    return _sum(functional.softplus(-label * output), weight), len(label)


def pair_log_loss(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sum of -w ln sigmoid(y_positive - y_negative) over the negatives, and their number (BPR, Rendle et al. 2009).

    A negative belongs to the last positive before it in the batch and takes that row's weight. Negatives before the
    first positive are left out: the end of a batch or file separated them from their positive.
    """
    position = torch.arange(len(label), device=label.device)
    of_positive, _ = torch.cummax(torch.where(label > 0, position, -1), dim=0)
    counts = (label <= 0) & (of_positive >= 0)
    of_positive = of_positive.clamp(min=0)
    terms = torch.where(counts, functional.softplus(output - output[of_positive]), 0.0)
    return _sum(terms, None if weight is None else weight[of_positive]), counts.sum()


class _SumOfSquares(torch.autograd.Function):
    """sum of f e^2, in few operations, each of which a GPU starts by itself. f gets no gradient; 1 if None."""

    @staticmethod
    def forward(ctx: Any, error: Tensor, factor: Tensor | None) -> Tensor:
        scaled = error if factor is None else factor * error
        ctx.save_for_backward(scaled)
        return torch.dot(scaled, error)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scaled,) = ctx.saved_tensors
        return scaled * (2.0 * gradients[0]), None


def _sum_of_squares(error: Tensor, factor: Tensor | None) -> Tensor:
    total: Tensor = _SumOfSquares.apply(error, factor)  # type: ignore[no-untyped-call]
    return total


def _sum(terms: Tensor, weight: Tensor | None) -> Tensor:
    return (terms if weight is None else weight * terms).sum()
