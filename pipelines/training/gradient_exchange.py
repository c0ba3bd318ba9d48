"""The form in which sparse gradients of embedding tables are sent to the other ranks: as rows, or as whole tables."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from afm_core.kernels.rows import sum_rows

_FLOAT, _ID = 4, 8  # bytes


def table_is_smaller(shape: torch.Size, lookups: int, ranks: int) -> bool:
    """Whether an all-reduce of the whole table moves fewer bytes than an all-gather of its touched rows.

    A ring all-reduce sends each number twice, except for the part that a rank already has (Patarasuk and Yuan 2009).

    Args:
        shape: (n, k) of the table.
        lookups: upper bound of the ids that a rank looks up in a step.
    """
    rows, width = shape
    table_bytes = 2 * (ranks - 1) / ranks * rows * (width + 1) * _FLOAT
    row_bytes = (ranks - 1) * min(rows, lookups) * (width * _FLOAT + _ID)
    return table_bytes <= row_bytes


def to_table(gradient: Tensor) -> Tensor:
    """A sparse gradient (n, k) as a dense table (n, k + 1), whose last column is 1 in rows that were touched."""
    coalesced = gradient.coalesce()
    table = coalesced._values().new_zeros(gradient.shape[0], gradient.shape[1] + 1)
    ids = coalesced._indices()[0]
    table[ids, :-1], table[ids, -1] = coalesced._values(), 1.0
    return table


def table_to_sparse(table: Tensor) -> Tensor:
    """The sparse gradient of all rows that any rank has touched, even if their gradient is zero."""
    ids = table[:, -1].nonzero()[:, 0]
    shape = table.shape[0], table.shape[1] - 1
    return torch.sparse_coo_tensor(ids.unsqueeze(0), table[ids, :-1], shape, check_invariants=False)


def group_by_lookup(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Group the tables in which the same tensor of ids was looked up, such as embeddings and linear weights.

    Their gradients have the same rows, so each id is sent once per group.
    """
    groups: dict[tuple[int, int], list[nn.Parameter]] = {}
    for parameter in parameters:
        assert parameter.grad is not None
        ids = parameter.grad._indices()
        groups.setdefault((ids.data_ptr(), ids.numel()), []).append(parameter)
    return list(groups.values())


def pack_rows(group: Sequence[nn.Parameter]) -> Tensor:
    """One message (D, sum of k + 1) float32: a row for each distinct id, whose int32 bits are the last column."""
    gradients = [parameter.grad for parameter in group if parameter.grad is not None]
    ids, sums = sum_rows(gradients[0]._indices()[0], [gradient._values() for gradient in gradients])
    return torch.cat([sums, ids.to(torch.int32).view(sums.dtype).unsqueeze(1)], dim=1)


def unpack_rows(message: Tensor, group: Sequence[nn.Parameter]) -> None:
    """Set the gradient of each table from the concatenated messages of all ranks."""
    ids = message[:, -1].contiguous().view(torch.int32).long().unsqueeze(0)
    columns = torch.split(message[:, :-1], [parameter.shape[1] for parameter in group], dim=1)
    for parameter, values in zip(group, columns, strict=True):
        parameter.grad = torch.sparse_coo_tensor(ids, values, parameter.shape, check_invariants=False)
