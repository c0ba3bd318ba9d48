"""Optimiser steps on the rows of a table that a batch has touched."""

import ctypes

import torch
from torch import Tensor

from afm_core.kernels.native_library import native_library


def adagrad_rows(
    weight: Tensor, accumulator: Tensor, ids: Tensor, gradients: Tensor, rate: float, epsilon: float
) -> None:
    """One Adagrad step on the rows `ids`, in place; the gradients of a row that occurs more than once are summed first.

    A row that does not occur has a gradient of 0, for which Adagrad does nothing: the outcome is that of a dense step,
    the cost that of N rows.

    Args:
        weight, accumulator: (ids of the table, K) float32, contiguous.
        ids: (N,) int64.
        gradients: (N, K) float32.
    """
    library = native_library()
    if library is None or weight.device.type != "cpu" or weight.dtype != torch.float32:
        _in_torch(weight, accumulator, ids, gradients, rate, epsilon)
        return
    ids, gradients = ids.contiguous(), gradients.contiguous()
    library.afm_adagrad_rows(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (weight, accumulator, ids, gradients)),
        ctypes.c_int64(len(ids)),
        ctypes.c_int64(weight.shape[1]),
        ctypes.c_float(rate),
        ctypes.c_float(epsilon),
        ctypes.c_int(torch.get_num_threads()),
    )


def _in_torch(weight: Tensor, accumulator: Tensor, ids: Tensor, gradients: Tensor, rate: float, epsilon: float) -> None:
    distinct, where = torch.unique(ids, return_inverse=True)
    total = gradients.new_zeros(len(distinct), gradients.shape[1]).index_add_(0, where, gradients)
    found = accumulator[distinct] + total.square()
    accumulator[distinct] = found
    weight[distinct] -= rate * total / (found.sqrt() + epsilon)
