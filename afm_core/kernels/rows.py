"""The rows of a table that a batch looks up, and optimiser steps on them.

The gradients of a row that occurs more than once are summed first. The cost is that of the N rows, whatever the size of
the table. Tables are (ids of the table, K) float32, contiguous, and changed in place.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from afm_core.kernels.native_library import native_library


def gather_rows(weight: Tensor, ids: Tensor) -> Tensor:
    """The rows `ids` of a table; its gradient is sparse, a row for each id as it stands.

    As torch's embedding, but rows are asked for before they are needed: in a table that no cache holds, waiting for
    memory is what a look-up costs.

    Args:
        weight: (n, K).
        ids: (...) int64, each at least 0 and less than n.

    Returns:
        (..., K).

    Raises:
        IndexError: an id that the table does not have.
    """
    if not _native(weight) or torch.compiler.is_exporting():
        return functional.embedding(ids, weight, sparse=True)
    found: Tensor = _Gathered.apply(weight, ids)  # type: ignore[no-untyped-call]
    return found


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        flat = ids.reshape(-1).contiguous()
        ctx.save_for_backward(flat)
        ctx.shape = weight.shape
        rows = weight.new_empty(*ids.shape, weight.shape[1])
        native = native_library()
        assert native is not None
        known = native.afm_gather_rows(
            ctypes.c_void_p(weight.data_ptr()),
            ctypes.c_int64(len(weight)),
            ctypes.c_void_p(flat.data_ptr()),
            ctypes.c_int64(len(flat)),
            ctypes.c_int64(weight.shape[1]),
            ctypes.c_int(torch.get_num_threads()),
            ctypes.c_void_p(rows.data_ptr()),
        )
        if not known:
            raise IndexError(f"ids from {int(flat.min())} to {int(flat.max())} in a table of {len(weight)} rows")
        return rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (flat,) = ctx.saved_tensors
        values = gradients[0].reshape(len(flat), ctx.shape[1])
        return torch.sparse_coo_tensor(flat.unsqueeze(0), values, ctx.shape, check_invariants=False), None


def adagrad_rows(weight: Tensor, squares: Tensor, ids: Tensor, gradients: Tensor, rate: float, epsilon: float) -> None:
    """One Adagrad step (Duchi et al. 2011) on the rows `ids`.

    A row that does not occur has a gradient of 0, for which Adagrad does nothing: the outcome is that of a dense step.

    Args:
        squares: the table of the accumulated squares.
        ids: (N,) int64.
        gradients: (N, K) float32.
    """
    if _native(weight):
        _run("afm_adagrad_rows", (weight, squares), ids, gradients, rate, epsilon)
        return
    distinct, total = _summed(ids, gradients)
    squares[distinct] += total.square()
    weight[distinct] -= rate * total / (squares[distinct].sqrt() + epsilon)


def adam_rows(
    weight: Tensor,
    mean: Tensor,
    squares: Tensor,
    ids: Tensor,
    gradients: Tensor,
    *,
    rate: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """One lazy Adam step (Kingma and Ba 2015, torch's SparseAdam) on the rows `ids`.

    The moments of rows that do not occur stay as they are, where a dense step would let them decay.

    Args:
        mean, squares: the tables of the two moments.
        ids: (N,) int64.
        gradients: (N, K) float32.
        rate: the learning rate, with the correction for the moments' start at 0 in it.
    """
    shares = [1.0 - beta for beta in betas]
    if _native(weight):
        _run("afm_adam_rows", (weight, mean, squares), ids, gradients, rate, *shares, epsilon)
        return
    distinct, total = _summed(ids, gradients)
    mean[distinct] += shares[0] * (total - mean[distinct])
    squares[distinct] += shares[1] * (total.square() - squares[distinct])
    weight[distinct] -= rate * mean[distinct] / (squares[distinct].sqrt() + epsilon)


def sum_rows(ids: Tensor, gradients: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Each distinct id with the sum of its rows, tables that were looked up alike side by side.

    Args:
        ids: (N,) int64.
        gradients: (N, K) float32 of each table.

    Returns:
        the ids (D,) int64, in an order that depends on `ids` alone, and the sums (D, sum of K).
    """
    if not _native(gradients[0]):
        distinct, total = _summed(ids, torch.cat(gradients, dim=1))
        return distinct, total
    native = native_library()
    assert native is not None
    ids = ids.contiguous()
    distinct = torch.empty_like(ids)
    sums = gradients[0].new_empty(len(ids), sum(part.shape[1] for part in gradients))
    found, at = 0, 0
    for part in map(_rows_apart, gradients):
        found = native.afm_sum_rows(
            ctypes.c_void_p(ids.data_ptr()),
            ctypes.c_void_p(part.data_ptr()),
            ctypes.c_int64(len(ids)),
            ctypes.c_int64(part.shape[1]),
            ctypes.c_int64(part.stride(0)),
            ctypes.c_int(torch.get_num_threads()),
            ctypes.c_void_p(distinct.data_ptr()),
            ctypes.c_void_p(sums.data_ptr() + at * sums.element_size()),
            ctypes.c_int64(sums.shape[1]),
        )
        at += part.shape[1]
    return distinct[:found], sums[:found]


def _rows_apart(gradients: Tensor) -> Tensor:
    """With the numbers of a row side by side, as the compiled steps want them."""
    return gradients if gradients.stride(1) == 1 else gradients.contiguous()


def _native(weight: Tensor) -> bool:
    return native_library() is not None and weight.device.type == "cpu" and weight.dtype == torch.float32


def _run(name: str, tables: tuple[Tensor, ...], ids: Tensor, gradients: Tensor, *factors: float) -> None:
    ids, gradients = ids.contiguous(), _rows_apart(gradients)
    getattr(native_library(), name)(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (*tables, ids, gradients)),
        ctypes.c_int64(len(ids)),
        ctypes.c_int64(gradients.shape[1]),
        ctypes.c_int64(gradients.stride(0)),
        ctypes.c_int(torch.get_num_threads()),
        *map(ctypes.c_float, factors),
    )


def _summed(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    distinct, where = torch.unique(ids, return_inverse=True)
    return distinct, gradients.new_zeros(len(distinct), gradients.shape[1]).index_add_(0, where, gradients)
