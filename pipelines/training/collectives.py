"""The collective operations that one library provides, and what happens when a rank is lost in one of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor


class LostPeerError(Exception):
    """Another rank was lost in a collective operation, or has not come to it in time."""


class Collectives(Protocol):
    """Operations of one library on one rank. All ranks must call them alike and in the same order.

    They raise `LostPeerError`, or an error of the library that its launcher turns into one.
    """

    name: str
    """Of the library, for logs."""
    rank: int
    size: int
    local_rank: int
    local_size: int
    """Index of this rank among those on its machine, and their number."""

    def start_gather(self, messages: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Begin to collect the rows of every rank, for each message.

        Args:
            messages: (D, K) float32 each; D may differ between the ranks.

        Returns:
            a function that waits for the rows of all ranks, (sum of D, K) for each message, ordered by rank.
        """

    def start_sum(self, tensors: list[Tensor], name: str) -> Callable[[], None]:
        """Begin to sum tensors of one dtype over the ranks, in place. Returns a function that waits for the sums.

        Args:
            name: of what is summed; sums of the same name have tensors of the same shapes.
        """

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum of a small tensor on the CPU. Returns a new tensor."""

    def broadcast(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""

    def broadcast_object(self, value: Any) -> Any:
        """What rank 0 gives, pickled."""
