"""A batch of rows, from the feed to a training step."""

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
    """(B,) float32; None if the dataset has no weights."""
    row_key: Tensor | None
    """(B,) int64; None unless the feed has `with_row_keys`."""

    def to(self, device: torch.device) -> "Batch":
        """A copy on another device; from pinned memory, asynchronously."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """A copy in pinned memory."""
        return self._each(Tensor.pin_memory)

    def parts(self, n: int) -> Iterator["Batch"]:
        """Split into at most `n` batches of equal size, the last one smaller; one empty batch if there are no rows."""
        size = max(1, -(-len(self.label) // n))
        for start in range(0, max(1, len(self.label)), size):
            rows = slice(start, start + size)
            yield self._each(lambda tensor, rows=rows: tensor[rows])  # type: ignore[misc]

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        others = (None if tensor is None else change(tensor) for tensor in (self.weight, self.row_key))
        return Batch(EncodedBatch(*map(change, self.encoded)), change(self.label), *others)
