"""The collective operations of Horovod."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor


class HorovodCollectives:
    """Operations of the ranks that horovodrun has started. Implements `Collectives`.

    A rank that is lost raises Horovod's own HorovodInternalError, which elastic training must see.
    """

    name = "Horovod"

    def __init__(self, hvd: Any) -> None:
        """Join the other ranks.

        Args:
            hvd: the module horovod.torch, initialised.
        """
        self._hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()

    def start_gather(self, messages: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Begin one all-gather for each message."""
        handles = [self._hvd.allgather_async(message, name=f"rows.{at}") for at, message in enumerate(messages)]
        return lambda: [self._hvd.synchronize(handle) for handle in handles]

    def start_sum(self, tensors: list[Tensor], name: str) -> Callable[[], None]:
        """Begin one grouped all-reduce."""
        handle = self._hvd.grouped_allreduce_async_(tensors, op=self._hvd.Sum, name=name)
        return lambda: self._hvd.synchronize(handle)

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum."""
        total: Tensor = self._hvd.allreduce(values, op=self._hvd.Sum, name="sum")
        return total

    def broadcast(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        self._hvd.broadcast_parameters(dict(tensors), root_rank=0)

    def broadcast_object(self, value: Any) -> Any:
        """What rank 0 gives, pickled."""
        # By default the operation is named by the type of the value, which differs between ranks.
        return self._hvd.broadcast_object(value, name="object")
