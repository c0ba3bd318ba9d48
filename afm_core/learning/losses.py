"""Training losses: sums over the rows of a batch, which add up exactly over ranks, and what to divide them by."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from afm_core.labels import NEGATIVE, POSITIVE

Loss = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, int]]
"""Outputs (B,), labels (B,) and weights (B,) or None to the sum of what they cost, and of how many terms."""


def squared_error(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
    """Sum of w (y - label)^2, a scalar, and the number of rows.

    Args:
        output: (B,) float, y.
        label: (B,) float.
        weight: (B,) float, w; 1 where there are none.
    """
    return _sum((output - label).square(), weight), len(label)


def squared_error_with_overshoot_penalty(overshoot_penalty: float) -> Loss:
    """As `squared_error`, but the error of a row beyond the end of the range at which its label is counts `overshoot`.

    There the clipped prediction of evaluation is right. With labels -1 and 1, 0 makes it max(0, 1 - label y)^2, the
    squared hinge loss; something between still says on which side of the label the output belongs, but not loudly.
    """

    def loss(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
        right = ((label >= POSITIVE) & (output > label)) | ((label <= NEGATIVE) & (output < label))
        error = (output - label).square()
        return _sum(torch.where(right, overshoot_penalty * error, error), weight), len(label)

    return loss


def log_loss(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
    """Sum of -w ln sigmoid(label y) in nats, labels -1 or 1, and the number of rows. Arguments as above."""
    return _sum(functional.softplus(-label * output), weight), len(label)


def pair_log_loss(output: Tensor, label: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
    """Sum of -w ln sigmoid(y_positive - y_negative) over the negatives, and their number (BPR, Rendle et al. 2009).

    A negative belongs to the last positive before it in the batch, whose weight counts. Negatives before the first
    positive were cut from theirs by the end of a batch or file, and are left out.
    """
    group = torch.cumsum(label > 0, dim=0)
    negative = (label <= 0) & (group > 0)
    of_positive = torch.nonzero(label > 0).squeeze(1)[group[negative] - 1]
    terms = functional.softplus(output[negative] - output[of_positive])
    return _sum(terms, None if weight is None else weight[of_positive]), len(terms)


def _sum(terms: Tensor, weight: Tensor | None) -> Tensor:
    return (terms if weight is None else weight * terms).sum()
