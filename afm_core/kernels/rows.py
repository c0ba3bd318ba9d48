"""Looking up the rows of a table that a batch uses, and summing their gradients.

The cost depends on the N rows, not on the size of the table. Tables are (n, K) float32 for n ids, contiguous.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from afm_core.kernels.native_library import native_library


def gather_rows(weight: Tensor, ids: Tensor) -> Tensor:
    """The rows `ids` of a table. The gradient is sparse, with one row per id, duplicates included.

    Like torch's embedding, but rows are prefetched: in a table larger than the caches, look-ups mostly wait for memory.

    Args:
        weight: (n, K).
        ids: (...) int64, from 0 to n - 1.

    Returns:
        (..., K).

    Raises:
        IndexError: an id is not in the table.
    """
    if not compiled_for(weight) or torch.compiler.is_exporting():
        return functional.embedding(ids, weight, sparse=True)
    rows: Tensor = _GatherRows.apply(weight, ids)  # type: ignore[no-untyped-call]
    return rows


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        flat = ids.reshape(-1).contiguous()
        ctx.save_for_backward(flat)
        ctx.shape = weight.shape
        rows = weight.new_empty(*ids.shape, weight.shape[1])
        native = native_library()
        assert native is not None
        in_table = native.afm_gather_rows(
            ctypes.c_void_p(weight.data_ptr()),
            ctypes.c_int64(len(weight)),
            ctypes.c_void_p(flat.data_ptr()),
            ctypes.c_int64(len(flat)),
            ctypes.c_int64(weight.shape[1]),
            ctypes.c_int(torch.get_num_threads()),
            ctypes.c_void_p(rows.data_ptr()),
        )
        if not in_table:
            raise IndexError(f"ids from {int(flat.min())} to {int(flat.max())} in a table of {len(weight)} rows")
        return rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (flat,) = ctx.saved_tensors
        values = gradients[0].reshape(len(flat), ctx.shape[1])
        return torch.sparse_coo_tensor(flat.unsqueeze(0), values, ctx.shape, check_invariants=False), None


def sum_rows(ids: Tensor, gradients: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The distinct ids, and the sum of each one's gradient rows; those of several tables side by side.

    Args:
        ids: (N,) int64, the same for all tables.
        gradients: (N, K) float32 for each table.

    Returns:
        the distinct ids, (D,) int64, in an order that depends only on `ids`, and the sums, (D, sum of K).
    """
    if not compiled_for(gradients[0]):
        side_by_side = torch.cat(gradients, dim=1)
        if _may_count(ids):
            return summed(ids, side_by_side)
        ordered, _, sums = _segments(ids, side_by_side)
        distinct = ordered[_starts(ordered)]
        return distinct, sums[: len(distinct)]
    native = native_library()
    assert native is not None
    ids = ids.contiguous()
    distinct = torch.empty_like(ids)
    sums = gradients[0].new_empty(len(ids), sum(part.shape[1] for part in gradients))
    n_distinct, column = 0, 0
    for part in map(with_contiguous_rows, gradients):
        n_distinct = native.afm_sum_rows(
            ctypes.c_void_p(ids.data_ptr()),
            ctypes.c_void_p(part.data_ptr()),
            ctypes.c_int64(len(ids)),
            ctypes.c_int64(part.shape[1]),
            ctypes.c_int64(part.stride(0)),
            ctypes.c_int(torch.get_num_threads()),
            ctypes.c_void_p(distinct.data_ptr()),
            ctypes.c_void_p(sums.data_ptr() + column * sums.element_size()),
            ctypes.c_int64(sums.shape[1]),
        )
        column += part.shape[1]
    return distinct[:n_distinct], sums[:n_distinct]


def sum_of_each_row(ids: Tensor, gradients: Tensor) -> Tensor:
    """The sum of the gradient rows of each distinct id, (D, K); on a GPU, where D is not known, followed by zeros."""
    return sum_rows(ids, [gradients])[1] if _may_count(ids) else _segments(ids, gradients)[2]


def with_contiguous_rows(gradients: Tensor) -> Tensor:
    """The same numbers with each row contiguous in memory, as the compiled functions need them."""
    return gradients if gradients.stride(1) == 1 else gradients.contiguous()


def compiled_for(weight: Tensor) -> bool:
    """Whether the compiled kernels take this table."""
    return native_library() is not None and weight.device.type == "cpu" and weight.dtype == torch.float32


def _may_count(ids: Tensor) -> bool:
    return ids.device.type == "cpu"


def summed(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and the sum of the gradient rows of each.

    On a CPU each id once. On a GPU as many ids as there are, in rising order, each with the whole sum of its rows: how
    many distinct ones there are would have to be waited for, and who writes a row twice writes the same numbers.
    """
    if _may_count(ids):
        distinct, index = torch.unique(ids, return_inverse=True)
        return distinct, gradients.new_zeros(len(distinct), gradients.shape[1]).index_add_(0, index, gradients)
    ordered, segment, sums = _segments(ids, gradients)
    return ordered, sums[segment]


def _segments(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums in a fixed order, without the atomic additions of `index_add_`: the same bits every time.

    Returns:
        the ids in rising order, (N,); the number of the segment of equal ids that each is in, (N,); and the sum of each
        segment, (N, K), followed by zeros.
    """
    ordered, order = torch.sort(ids, stable=True)
    segment = torch.cumsum(_starts(ordered), 0) - 1
    lengths = torch.zeros_like(ids).scatter_add_(0, segment, torch.ones_like(ids))
    # `unsafe` leaves out checks of the lengths, for which the host would have to wait.
    sums = torch.segment_reduce(gradients[order].contiguous(), "sum", lengths=lengths, unsafe=True)
    return ordered, segment, sums


def _starts(ordered: Tensor) -> Tensor:
    starts = torch.ones_like(ordered, dtype=torch.bool)
    torch.ne(ordered[1:], ordered[:-1], out=starts[1:])
    return starts
