"""Collective operations of ranks that horovodrun has started.

Gradients are summed explicitly after each backward pass instead of by wrapping the optimizer: the optimizer, and with
it Adagrad's accumulator, stays torch's own, and one rank and many take the same path through the training loop.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from afm_core.storage.publishing import Condition
from pipelines.training.gradient_exchange import (
    group_by_lookup,
    pack_rows,
    table_is_smaller,
    table_to_sparse,
    to_table,
    unpack_rows,
)
from pipelines.training.rank_heartbeats import RankHeartbeats


class HorovodCommunicator:
    """One rank among those of horovodrun. Implements `Communicator`."""

    def __init__(
        self,
        hvd: Any,
        heartbeats: Path,
        require_run: Condition,
        check_for_new_ranks: Callable[[], None] | None = None,
    ) -> None:
        """Join the other ranks.

        Args:
            hvd: the module horovod.torch, initialised.
            heartbeats: folder that all ranks can read and write.
            require_run: see `Communicator`.
            check_for_new_ranks: in elastic training, raises Horovod's HostsUpdatedInterrupt if ranks want to join.
        """
        self._hvd, self._check_for_new_ranks, self.require_run = hvd, check_for_new_ranks, require_run
        self.elastic = check_for_new_ranks is not None
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        self.heartbeats = RankHeartbeats(heartbeats, self.rank, self.size)

    def sum_gradients(
        self, parameters: Iterable[nn.Parameter], compress: bool = False, lookups: int | None = None
    ) -> None:
        """One grouped all-reduce of dense gradients and small tables, one all-gather of rows per group of other tables.

        All operations are in flight at once, because the number of round trips costs more than the number of bytes.
        Gathered rows are ordered by rank, so every rank adds them in the same order and gets the same bits.
        """
        self.heartbeats.begin()
        dense, sparse, tables = [], [], []
        for parameter in parameters:
            if parameter.grad is None:  # a rank that sends nothing would stall the others
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad.is_sparse and lookups and table_is_smaller(parameter.shape, lookups, self.size):
                tables.append((parameter, to_table(parameter.grad)))
            elif parameter.grad.is_sparse:
                sparse.append(parameter)
            else:
                dense.append(parameter.grad)
        groups = group_by_lookup(sparse)
        gathers = [
            self._hvd.allgather_async(pack_rows(group), name=f"rows.{number}") for number, group in enumerate(groups)
        ]
        dense += [table for _, table in tables]
        sent = [gradient.half() for gradient in dense] if compress else dense
        reduction = self._hvd.grouped_allreduce_async_(sent, op=self._hvd.Sum, name="gradients") if sent else None
        for group, gather in zip(groups, gathers, strict=True):
            unpack_rows(self._hvd.synchronize(gather), group)
        if reduction is not None:
            self._hvd.synchronize(reduction)
        if compress:
            for gradient, total in zip(dense, sent, strict=True):
                gradient.copy_(total)
        for parameter, table in tables:
            parameter.grad = table_to_sparse(table)

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over the ranks, in float64."""
        self.heartbeats.begin()
        total = self._hvd.allreduce(torch.tensor(values, dtype=torch.float64), op=self._hvd.Sum, name="sum")
        return [float(value) for value in total]

    def broadcast(self, module: nn.Module) -> None:
        """Copy the parameters of rank 0 to every rank."""
        self._hvd.broadcast_parameters(module.state_dict(), root_rank=0)

    def all_equal(self, module: nn.Module) -> bool:
        """Compare every rank's parameters with those of rank 0; all ranks return the same answer."""
        equal = True
        for name, own in module.state_dict().items():
            of_rank_0 = self._hvd.broadcast(own, root_rank=0, name=f"equal.{name}")
            equal = equal and torch.equal(own, of_rank_0)
        return bool(self.sum([float(equal)])[0] == self.size)

    def checkpoint_written(self) -> None:
        """In elastic training, let new ranks join."""
        if self._check_for_new_ranks:
            self._check_for_new_ranks()
