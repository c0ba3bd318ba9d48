"""What the ranks of a training exchange, and the communicator of a single process."""

from collections.abc import Iterable
from typing import Protocol

import psutil
from torch import Tensor, nn

from afm_core.storage.publishing import Condition, do_not_ask


class Communicator(Protocol):
    """One rank's connection to all ranks. Except for the constructor, all ranks must call every method alike."""

    description: str
    """How many ranks there are, and what connects them, for logs; empty for a single process."""
    rank: int
    size: int
    elastic: bool
    """Whether ranks may join and leave during the training."""
    local_rank: int
    local_size: int
    """Index of this rank among those on its machine, and their number."""
    require_run: Condition
    """Raises BusyError where another training writes to the run by now; rank 0 calls it before it publishes."""

    def sum_gradients(
        self, parameters: Iterable[nn.Parameter], compress: bool = False, lookups: int | None = None
    ) -> None:
        """Replace every gradient by its sum over the ranks; a parameter without a gradient counts as zeros.

        Args:
            compress: send dense gradients as float16.
            lookups: upper bound of the ids that a rank looks up in a step. The gradient of a table is sent whole where
                that moves fewer bytes than the rows of so many ids. None: always send the rows of the step.
        """

    def average(self, tensors: list[Tensor]) -> None:
        """Replace float32 tensors by their means over the ranks."""

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all ranks, ordered by rank: (N, K) float32, where ranks may differ in N, to (sum of N, K)."""

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over the ranks, in float64."""

    def broadcast(self, module: nn.Module) -> None:
        """Copy the parameters of rank 0 to every rank."""

    def all_equal(self, module: nn.Module) -> bool:
        """Whether all ranks hold the same parameters, bit for bit."""

    def checkpoint_written(self) -> None:
        """Called after rank 0 has written a checkpoint. In elastic training, new ranks join here."""


class SingleProcess:
    """The communicator of a training in one process: every sum over the ranks is the value itself."""

    description, rank, size, elastic, local_rank, local_size = "", 0, 1, False, 0, 1

    def __init__(self, require_run: Condition = do_not_ask) -> None:
        self.require_run = require_run

    def sum_gradients(
        self, parameters: Iterable[nn.Parameter], compress: bool = False, lookups: int | None = None
    ) -> None:
        """Leave the gradients as they are."""

    def average(self, tensors: list[Tensor]) -> None:
        """Leave the tensors as they are."""

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows."""
        return rows

    def sum(self, values: list[float]) -> list[float]:
        """Return the values."""
        return values

    def broadcast(self, module: nn.Module) -> None:
        """Do nothing."""

    def all_equal(self, module: nn.Module) -> bool:
        """Return True."""
        return True

    def checkpoint_written(self) -> None:
        """Do nothing."""


def resident_mib(ranks: Communicator) -> list[int]:
    """Resident memory of the process of each rank."""
    own = psutil.Process().memory_info().rss / 2**20
    return [round(size) for size in ranks.sum([own if rank == ranks.rank else 0.0 for rank in range(ranks.size)])]
