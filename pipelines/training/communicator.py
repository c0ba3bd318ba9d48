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
        """One grouped all-reduce of all gradients."""
        gradients = []
        for parameter in parameters:
            if parameter.grad is None:  # a rank that sent nothing would stall the others
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        self._hvd.grouped_allreduce_(gradients, op=self._hvd.Sum, name="gradients")

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
