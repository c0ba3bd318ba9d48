"""Optimiser steps on the rows of a table that a batch has touched.

The gradients of a row that occurs more than once are summed first. The cost is that of the N rows, whatever the size of
the table. Tables are (ids of the table, K) float32, contiguous, and changed in place.
"""

import ctypes

import torch
from torch import Tensor

from afm_core.kernels.native_library import native_library


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


def _native(weight: Tensor) -> bool:
    return native_library() is not None and weight.device.type == "cpu" and weight.dtype == torch.float32


def _run(name: str, tables: tuple[Tensor, ...], ids: Tensor, gradients: Tensor, *factors: float) -> None:
    ids, gradients = ids.contiguous(), gradients.contiguous()
    getattr(native_library(), name)(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (*tables, ids, gradients)),
        ctypes.c_int64(len(ids)),
        ctypes.c_int64(gradients.shape[1]),
        ctypes.c_int(torch.get_num_threads()),
        *map(ctypes.c_float, factors),
    )


def _summed(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    distinct, where = torch.unique(ids, return_inverse=True)
    return distinct, gradients.new_zeros(len(distinct), gradients.shape[1]).index_add_(0, where, gradients)
