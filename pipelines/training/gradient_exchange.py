"""In which form the sparse gradients of embedding tables go to the other ranks."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from afm_core.kernels.rows import sum_rows

_FLOAT, _ID = 4, 8  # bytes


def table_is_smaller(shape: torch.Size, lookups: int, ranks: int) -> bool:
    """Whether summing whole tables moves fewer bytes than giving every rank the rows of all others.

    A sum passes each number on twice (Patarasuk and Yuan 2009), except for the part that a rank already has.

    Args:
        shape: (n, k) of the table.
        lookups: ids that a rank looks up in a step at most.
    """
    rows, width = shape
    whole = 2 * (ranks - 1) / ranks * rows * (width + 1) * _FLOAT
    touched = (ranks - 1) * min(rows, lookups) * (width * _FLOAT + _ID)
    return whole <= touched


def as_table(gradient: Tensor) -> Tensor:
    """All rows of a sparse gradient (n, k) as (n, k + 1), with a last column of 1 where a row was touched."""
    own = gradient.coalesce()
    table = own._values().new_zeros(gradient.shape[0], gradient.shape[1] + 1)
    ids = own._indices()[0]
    table[ids, :-1], table[ids, -1] = own._values(), 1.0
    return table


def from_table(table: Tensor) -> Tensor:
    """The sparse gradient of the rows that any rank has touched, a gradient of zeros included."""
    ids = table[:, -1].nonzero()[:, 0]
    shape = table.shape[0], table.shape[1] - 1
    return torch.sparse_coo_tensor(ids.unsqueeze(0), table[ids, :-1], shape, check_invariants=False)


def looked_up_alike(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Tables whose gradients have the same rows because one tensor of ids was looked up in all of them, such as the
    embeddings and the linear weights: their rows travel together, each id once.
    """
    groups: dict[tuple[int, int], list[nn.Parameter]] = {}
    for parameter in parameters:
        assert parameter.grad is not None
        ids = parameter.grad._indices()
        groups.setdefault((ids.data_ptr(), ids.numel()), []).append(parameter)
    return list(groups.values())


def packed(group: Sequence[nn.Parameter]) -> Tensor:
    """One message: (D, sum of k + 1) float32, a row for each distinct id, whose bits are the last number."""
    gradients = [parameter.grad for parameter in group if parameter.grad is not None]
    ids, sums = sum_rows(gradients[0]._indices()[0], [gradient._values() for gradient in gradients])
    return torch.cat([sums, ids.to(torch.int32).view(sums.dtype).unsqueeze(1)], dim=1)


def unpack(message: Tensor, group: Sequence[nn.Parameter]) -> None:
    """Give each table its gradient of the messages of all ranks, one below the other."""
    ids = message[:, -1].contiguous().view(torch.int32).long().unsqueeze(0)
    columns = torch.split(message[:, :-1], [one.shape[1] for one in group], dim=1)
    for parameter, values in zip(group, columns, strict=True):
        parameter.grad = torch.sparse_coo_tensor(ids, values, parameter.shape, check_invariants=False)
