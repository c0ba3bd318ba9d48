"""The ranks of a training that are connected by a library of collective operations.

Gradients are summed explicitly after each backward pass instead of by wrapping the optimizer or the model: the
optimizer, and with it Adagrad's accumulator, stays torch's own, and one rank and many take the same path through the
training loop.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from afm_core.errors import LostRankError
from afm_core.storage.publishing import Condition
from pipelines.training.collectives import Collectives
from pipelines.training.gradient_exchange import (
    group_by_lookup,
    pack_rows,
    table_is_smaller,
    table_to_sparse,
    to_table,
    unpack_rows,
)
from pipelines.training.rank_heartbeats import RankHeartbeats


class ConnectedRanks:
    """One rank among others. Implements `Communicator`."""

    def __init__(
        self,
        collectives: Collectives,
        heartbeats: Path,
        require_run: Condition,
        *,
        elastic: bool = False,
        let_ranks_join: Callable[[], None] | None = None,
    ) -> None:
        """Join the other ranks.

        Args:
            collectives: of the library that started the ranks.
            heartbeats: folder that all ranks can read and write.
            require_run: see `Communicator`.
            elastic: see `Communicator`.
            let_ranks_join: called after each checkpoint; raises the library's own exception if ranks want to join.
        """
        self._collectives, self._let_ranks_join, self.require_run = collectives, let_ranks_join, require_run
        self.rank, self.size, self.elastic = collectives.rank, collectives.size, elastic
        self.local_rank, self.local_size = collectives.local_rank, collectives.local_size
        self.description = f"{self.size} ranks by {collectives.name}"
        self.heartbeats = RankHeartbeats(heartbeats, self.rank, self.size)

    def sum_gradients(
        self, parameters: Iterable[nn.Parameter], compress: bool = False, lookups: int | None = None
    ) -> None:
        """One all-reduce of dense gradients and small tables, one all-gather of rows per group of other tables.

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
        wait_for_rows = self._collectives.start_gather([pack_rows(group) for group in groups]) if groups else list
        dense += [table for _, table in tables]
        sent = [gradient.half() for gradient in dense] if compress else dense
        wait_for_sums = self._collectives.start_sum(sent, "gradients") if sent else None
        for group, rows in zip(groups, wait_for_rows(), strict=True):
            unpack_rows(rows, group)
        if wait_for_sums is not None:
            wait_for_sums()
        if compress:
            for gradient, total in zip(dense, sent, strict=True):
                gradient.copy_(total)
        for parameter, table in tables:
            parameter.grad = table_to_sparse(table)

    def average(self, tensors: list[Tensor]) -> None:
        """One all-reduce; none where there are no tensors."""
        if tensors:
            self.heartbeats.begin()
            torch._foreach_div_(tensors, self.size)
            self._collectives.start_sum(tensors, "statistics")()

    def gather(self, rows: Tensor) -> Tensor:
        """One all-gather."""
        self.heartbeats.begin()
        (gathered,) = self._collectives.start_gather([rows])()
        return gathered

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over the ranks, in float64."""
        self.heartbeats.begin()
        total = self._collectives.sum(torch.tensor(values, dtype=torch.float64))
        return [float(value) for value in total]

    def broadcast(self, module: nn.Module) -> None:
        """Copy the parameters of rank 0 to every rank."""
        self._collectives.broadcast(module.state_dict())

    def all_equal(self, module: nn.Module) -> bool:
        """Compare every rank's parameters with those of rank 0; all ranks return the same answer."""
        of_rank_0 = {name: own.clone() for name, own in module.state_dict().items()}
        self._collectives.broadcast(of_rank_0)
        equal = all(torch.equal(own, of_rank_0[name]) for name, own in module.state_dict().items())
        return bool(self.sum([float(equal)])[0] == self.size)

    def checkpoint_written(self) -> None:
        """In elastic training, let new ranks join."""
        if self._let_ranks_join:
            self._let_ranks_join()


def lost_rank(collectives: Collectives, ranks: ConnectedRanks | None) -> LostRankError:
    """The error of a rank that has lost another one, which it names where it can.

    Args:
        ranks: None before they had begun.
    """
    missing = ranks.heartbeats.missing_ranks() if ranks else "another rank was lost before it had begun"
    return LostRankError(
        f"rank {collectives.rank} of {collectives.size} cannot continue: {missing}; restart with --resume auto"
    )
