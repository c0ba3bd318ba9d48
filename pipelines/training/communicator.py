"""What ranks say to each other: through Horovod, or nothing at all. Nothing else imports Horovod.

Gradients are summed explicitly after each backward pass instead of by wrapping the optimizer: the optimizer, and with
it Adagrad's accumulator, stays torch's own, and one rank and many take the same path through the training loop.
"""

import os
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import nn


class Communicator(Protocol):
    """One rank's view of all ranks. Every method but the constructor must be called by all ranks alike."""

    rank: int
    size: int
    local_size: int
    """Ranks on this machine."""

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over the ranks; a parameter without one counts as zeros."""

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over the ranks, in float64."""

    def broadcast(self, module: nn.Module) -> None:
        """Give every rank the parameters of rank 0."""

    def all_equal(self, module: nn.Module) -> bool:
        """Whether all ranks hold the same parameters, bit for bit."""


class Alone:
    """A single process."""

    rank, size, local_size = 0, 1, 1

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Nothing to add."""

    def sum(self, values: list[float]) -> list[float]:
        """The values themselves."""
        return values

    def broadcast(self, module: nn.Module) -> None:
        """Nobody to tell."""

    def all_equal(self, module: nn.Module) -> bool:
        """True."""
        return True


class Horovod:
    """Ranks started by horovodrun."""

    def __init__(self) -> None:
        import horovod.torch as hvd

        hvd.init()
        self._hvd = hvd
        self.rank, self.size, self.local_size = hvd.rank(), hvd.size(), hvd.local_size()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """One grouped all-reduce of the dense gradients; of the sparse ones every rank gets every row."""
        gradients = []
        for number, parameter in enumerate(parameters):
            if parameter.grad is None:  # a rank that sent nothing would stall the others
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad.is_sparse:
                parameter.grad = self._gather_rows(parameter.grad, f"rows.{number}")
            else:
                gradients.append(parameter.grad)
        self._hvd.grouped_allreduce_(gradients, op=self._hvd.Sum, name="gradients")

    def _gather_rows(self, gradient: torch.Tensor, name: str) -> torch.Tensor:
        """The rows of all ranks in the order of the ranks, so that every rank adds them up alike."""
        ids = self._hvd.allgather(gradient._indices()[0].contiguous(), name=f"{name}.ids")
        values = self._hvd.allgather(gradient._values().contiguous(), name=f"{name}.values")
        return torch.sparse_coo_tensor(ids.unsqueeze(0), values, gradient.shape, check_invariants=False)

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise, in float64."""
        total = self._hvd.allreduce(torch.tensor(values, dtype=torch.float64), op=self._hvd.Sum, name="sum")
        return [float(value) for value in total]

    def broadcast(self, module: nn.Module) -> None:
        """From rank 0."""
        self._hvd.broadcast_parameters(module.state_dict(), root_rank=0)

    def all_equal(self, module: nn.Module) -> bool:
        """Compare every rank with rank 0 and agree on the outcome."""
        equal = True
        for name, ours in module.state_dict().items():
            theirs = self._hvd.broadcast(ours, root_rank=0, name=f"equal.{name}")
            equal = equal and torch.equal(ours, theirs)
        return bool(self.sum([float(equal)])[0] == self.size)


def communicator() -> Communicator:
    """Horovod where horovodrun started this process, else alone."""
    return Horovod() if "HOROVOD_RANK" in os.environ else Alone()
