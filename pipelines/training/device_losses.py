"""Reading losses that lie on the device. The host waits for all work before a reading, so that steps share one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.feeding.shard_plan import RowRanges

DeviceLoss = tuple[Tensor, int | Tensor]
"""The sum of the losses of a batch, a scalar, and their number."""


@dataclass(frozen=True)
class UnreadStep:
    """The losses of a step."""

    step: int
    remaining: RowRanges
    """Rows of the epoch before the step."""
    losses: list[DeviceLoss]
    """Of each part of its batch."""


def read(losses: Sequence[DeviceLoss]) -> list[tuple[float, int]]:
    """The losses and their numbers as Python numbers, in one or two copies from the device."""
    totals = _read([total for total, _ in losses])
    counts = iter(_read([count for _, count in losses if isinstance(count, Tensor)]))
    return [
        (total, int(next(counts)) if isinstance(count, Tensor) else count)
        for total, (_, count) in zip(totals, losses, strict=True)
    ]


def _read(scalars: list[Tensor]) -> list[float]:
    return torch.stack(scalars).tolist() if scalars else []
