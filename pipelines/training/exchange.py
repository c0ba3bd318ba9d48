"""In which form the sparse gradient of an embedding table goes to the other ranks."""

import torch
from torch import Tensor

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
