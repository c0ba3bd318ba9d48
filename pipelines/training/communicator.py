"""What ranks say to each other: through Horovod, or nothing at all. Nothing else imports Horovod.

Gradients are summed explicitly after each backward pass instead of by wrapping the optimizer: the optimizer, and with
it Adagrad's accumulator, stays torch's own, and one rank and many take the same path through the training loop.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from afm_core.errors import LostRankError
from afm_core.settings import Settings
from pipelines.console import messages
from pipelines.training.cores import keep_to_own_cores
from pipelines.training.gradient_exchange import as_table, from_table, looked_up_alike, packed, table_is_smaller, unpack
from pipelines.training.rank_heartbeats import RankHeartbeats

R = TypeVar("R")


class Communicator(Protocol):
    """One rank's view of all ranks. Every method but the constructor must be called by all ranks alike."""

    rank: int
    size: int
    elastic: bool
    """Whether their number may change."""
    local_rank: int
    local_size: int
    """This rank's place among those on its machine, and how many they are."""

    def sum_gradients(
        self, parameters: Iterable[nn.Parameter], compress: bool = False, lookups: int | None = None
    ) -> None:
        """Replace every gradient by its sum over the ranks; a parameter without one counts as zeros.

        Args:
            compress: send dense gradients as float16.
            lookups: ids that a rank looks up in a step at most: of a table with fewer rows the whole goes to the others
                where that moves fewer bytes. None: of every table the rows of the step.
        """

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over the ranks, in float64."""

    def broadcast(self, module: nn.Module) -> None:
        """Give every rank the parameters of rank 0."""

    def all_equal(self, module: nn.Module) -> bool:
        """Whether all ranks hold the same parameters, bit for bit."""

    def checkpointed(self) -> None:
        """Say that rank 0 has written a checkpoint. Where ranks may come and go, this is where they are let in."""


class SingleProcess:
    """A single process."""

    rank, size, elastic, local_rank, local_size = 0, 1, False, 0, 1

    def sum_gradients(
        self, parameters: Iterable[nn.Parameter], compress: bool = False, lookups: int | None = None
    ) -> None:
        """Nothing to add."""

    def sum(self, values: list[float]) -> list[float]:
        """The values themselves."""
        return values

    def broadcast(self, module: nn.Module) -> None:
        """Nobody to tell."""

    def all_equal(self, module: nn.Module) -> bool:
        """True."""
        return True

    def checkpointed(self) -> None:
        """Nobody comes or goes."""


class Horovod:
    """Ranks started by horovodrun."""

    def __init__(self, hvd: Any, heartbeats: Path, changes: Callable[[], None] | None = None) -> None:
        """Join the others.

        Args:
            hvd: horovod.torch, initialised.
            roll: folder that all ranks see.
            changes: asks whether ranks have come, and raises what Horovod raises then.
        """
        self._hvd, self._changes, self.elastic = hvd, changes, changes is not None
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        self.heartbeats = RankHeartbeats(heartbeats, self.rank, self.size)

    def sum_gradients(
        self, parameters: Iterable[nn.Parameter], compress: bool = False, lookups: int | None = None
    ) -> None:
        """One grouped all-reduce of the dense gradients and small tables; of other tables every rank gets every row.

        All of it is under way at once: what costs is the number of round trips, not their size. Rows arrive in the
        order of the ranks, so that every rank adds them up alike.
        """
        self.heartbeats.begin()
        learning = list(parameters)
        dense, sparse, tables = [], [], []
        for parameter in learning:
            if parameter.grad is None:  # a rank that sent nothing would stall the others
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad.is_sparse and lookups and table_is_smaller(parameter.shape, lookups, self.size):
                tables.append((parameter, as_table(parameter.grad)))
            elif parameter.grad.is_sparse:
                sparse.append(parameter)
            else:
                dense.append(parameter.grad)
        groups = looked_up_alike(sparse)
        gathering = [self._hvd.allgather_async(packed(group), name=f"rows.{at}") for at, group in enumerate(groups)]
        dense += [table for _, table in tables]
        sent = [gradient.half() for gradient in dense] if compress else dense
        summing = self._hvd.grouped_allreduce_async_(sent, op=self._hvd.Sum, name="gradients") if sent else None
        for group, message in zip(groups, gathering, strict=True):
            unpack(self._hvd.synchronize(message), group)
        if summing is not None:
            self._hvd.synchronize(summing)
        if compress:
            for gradient, total in zip(dense, sent, strict=True):
                gradient.copy_(total)
        for parameter, table in tables:
            parameter.grad = from_table(table)

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise, in float64."""
        self.heartbeats.begin()
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

    def checkpointed(self) -> None:
        """In elastic training: let in whoever has come."""
        if self._changes:
            self._changes()


def on_ranks(settings: Settings, work: Callable[[Communicator, bool], R], resume: bool = False) -> R:
    """Do `work(ranks, resume)` alone, or as one of the ranks that horovodrun has started.

    In elastic training (horovodrun --min-np) the work is begun again, with `resume`, whenever ranks have come or gone.

    Raises:
        LostRankError: another rank has died, or kept the others waiting beyond `train.stall_seconds`; names it.
    """
    if "HOROVOD_RANK" not in os.environ:
        return work(SingleProcess(), resume)
    limit = str(settings.train.stall_seconds)
    os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", limit)
    os.environ.setdefault("HOROVOD_STALL_CHECK_TIME_SECONDS", str(max(1, settings.train.stall_seconds // 2)))
    os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", limit)
    import horovod.torch as hvd
    from horovod.common.exceptions import HorovodInternalError

    elastic = "HOROVOD_ELASTIC" in os.environ
    if not elastic:
        keep_to_own_cores(int(os.environ["HOROVOD_LOCAL_RANK"]), int(os.environ["HOROVOD_LOCAL_SIZE"]))
    hvd.init()
    heartbeats = settings.run.path / "ranks"
    if elastic:
        return _elastic(hvd, heartbeats, work, resume)
    ranks = Horovod(hvd, heartbeats)
    try:
        return work(ranks, resume)
    except HorovodInternalError as error:
        raise LostRankError(
            f"rank {ranks.rank} of {ranks.size} cannot go on: {ranks.heartbeats.silent()}; "
            "start again with --resume auto"
        ) from error


def _elastic(hvd: Any, heartbeats: Path, work: Callable[[Communicator, bool], R], resume: bool) -> R:
    from horovod.common.elastic import State, run_fn
    from horovod.torch.elastic import _reset
    from horovod.torch.functions import broadcast_object

    class OnDisk(State):  # type: ignore[misc]
        """What ranks share when they meet again: nothing but the checkpoints of the run."""

        begun = resume

        def save(self) -> None: ...

        def restore(self) -> None:
            messages.print("  a rank is gone; the others go on from the last checkpoint")

        def sync(self) -> None: ...

        def reset(self) -> None:
            self.begun = True

    def attempt(state: OnDisk) -> R:
        return work(Horovod(hvd, heartbeats, state.check_host_updates), state.begun)

    found: R = run_fn(attempt, _reset)(OnDisk(broadcast_object, hvd.rank))
    return found
