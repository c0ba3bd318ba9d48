"""What a feed gives and a training step takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from afm_core.models import EncodedBatch


@dataclass(frozen=True)
class Batch:
    """Rows of one step on one rank."""

    encoded: EncodedBatch
    label: Tensor
    """(B,) float32."""
    weight: Tensor | None
    """(B,) float32, where the dataset has weights."""
    row_key: Tensor | None
    """(B,) int64, where the feed was asked for it."""

    def to(self, device: torch.device) -> "Batch":
        """On another device; from pinned memory without waiting for it."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """In memory that a GPU can read by itself."""
        return self._each(Tensor.pin_memory)

    def parts(self, n: int) -> Iterator["Batch"]:
        """At most `n` batches of as many rows each, the last of what is left; one where there are no rows."""
        size = max(1, -(-len(self.label) // n))
        for start in range(0, max(1, len(self.label)), size):
            rows = slice(start, start + size)
            yield self._each(lambda tensor, rows=rows: tensor[rows])  # type: ignore[misc]

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        others = (None if tensor is None else change(tensor) for tensor in (self.weight, self.row_key))
        return Batch(EncodedBatch(*map(change, self.encoded)), change(self.label), *others)
