"""The collective operations of torch.distributed: Gloo for tensors on the CPU, NCCL for those on GPUs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed

from pipelines.training.collectives import LostPeerError


class TorchCollectives:
    """Operations of the ranks of torch's default process group, which must exist. Implements `Collectives`."""

    def __init__(self, local_rank: int, local_size: int) -> None:
        """Join the other ranks."""
        self.name = f"torch.distributed ({distributed.get_backend()})"
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.local_rank, self.local_size = local_rank, local_size

    def start_gather(self, messages: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Exchange the numbers of rows, then begin one all-gather for each message, padded to the longest."""
        with _lost_peers_named():
            counts = self._counts(messages)
            pending = []
            for message, lengths in zip(messages, counts.T.tolist(), strict=True):
                padded = message.new_zeros(max(lengths), message.shape[1])
                padded[: len(message)] = message
                parts = [torch.empty_like(padded) for _ in lengths]
                pending.append((distributed.all_gather(parts, padded, async_op=True), parts, lengths))

        def wait() -> list[Tensor]:
            gathered = []
            with _lost_peers_named():
                for work, parts, lengths in pending:
                    work.wait()
                    rows = [part[:length] for part, length in zip(parts, lengths, strict=True)]
                    gathered.append(torch.cat(rows))
            return gathered

        return wait

    def _counts(self, messages: Sequence[Tensor]) -> Tensor:
        """Number of rows of each rank's messages, (ranks, messages)."""
        own = torch.tensor([len(message) for message in messages])
        counts = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(counts, own)
        return torch.stack(counts)

    def start_sum(self, tensors: list[Tensor], name: str) -> Callable[[], None]:
        """Begin one all-reduce of all tensors as one vector."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _lost_peers_named():
            work = distributed.all_reduce(flat, async_op=True)

        def wait() -> None:
            with _lost_peers_named():
                work.wait()
            for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(total.view_as(tensor))

        return wait

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum."""
        total = values.clone()
        with _lost_peers_named():
            distributed.all_reduce(total)
        return total

    def broadcast(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        with _lost_peers_named():
            for tensor in tensors.values():
                distributed.broadcast(tensor, src=0)

    def broadcast_object(self, value: Any) -> Any:
        """What rank 0 gives, pickled."""
        values = [value]
        with _lost_peers_named():
            distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]


@contextmanager
def _lost_peers_named() -> Iterator[None]:
    """Gloo and NCCL report a lost rank as a RuntimeError with a text of their own."""
    try:
        yield
    except RuntimeError as error:
        raise LostPeerError(str(error).splitlines()[0]) from error
