"""Optimiser steps on the rows of a table that a batch looked up.

If a row occurs several times, its gradients are summed first. The cost depends on the N rows, not on the size of the
table. Tables are (n, K) float32 for n ids, contiguous, and updated in place.

Compiled kernels do it on a CPU and Triton on a GPU, where a step is a sort and two kernels for each table, the host
waits for nothing, and sums have a fixed order: the same bits every time.
"""

import ctypes
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from afm_core.kernels import triton
from afm_core.kernels.native_library import native_library
from afm_core.kernels.rows import compiled_for, summed, with_contiguous_rows


@dataclass(frozen=True)
class Lookups:
    """What a batch looked up; tables in which the same ids were looked up share it."""

    ids: Tensor
    """(N,) int64."""

    @cached_property
    def in_order(self) -> tuple[Tensor, Tensor]:
        """The ids in rising order, (N,), and the position of each in `ids`, (N,) int64."""
        ordered, order = torch.sort(self.ids, stable=True)
        return ordered, order

    @cached_property
    def distinct(self) -> Tensor:
        """Each id once; on a GPU the host would have to wait for their number."""
        distinct: Tensor = torch.unique(self.ids)
        return distinct


def sgd_rows(weight: Tensor, lookups: Lookups, gradients: Tensor, *, rate: float, l2: float = 0.0) -> None:
    """One step of gradient descent; for the arguments see `adam_rows`."""
    if _by_triton(weight):
        _run_triton("sgd", weight, (weight, weight), lookups, gradients, rate=rate, l2=l2)
        return
    rows, total = _summed(weight, lookups, gradients, l2)
    weight[rows] -= rate * total


def adagrad_rows(
    weight: Tensor,
    squares: Tensor,
    lookups: Lookups,
    gradients: Tensor,
    *,
    rate: float,
    epsilon: float,
    l2: float = 0.0,
) -> None:
    """One Adagrad step (Duchi et al. 2011).

    Rows that do not occur have gradient 0, which Adagrad ignores, so the result equals that of a dense step.

    Args:
        squares: (n, K) table of the accumulated squares.
    """
    if _by_triton(weight):
        _run_triton("adagrad", weight, (weight, squares), lookups, gradients, rate=rate, epsilon=epsilon, l2=l2)
    elif compiled_for(weight):
        _run_compiled("afm_adagrad_rows", (weight, squares), _with_l2(weight, lookups, gradients, l2), rate, epsilon)
    else:
        rows, total = _summed(weight, lookups, gradients, l2)
        squares[rows] += total.square()
        weight[rows] -= rate * total / (squares[rows].sqrt() + epsilon)


def adam_rows(
    weight: Tensor,
    mean: Tensor,
    squares: Tensor,
    lookups: Lookups,
    gradients: Tensor,
    *,
    rate: float,
    betas: tuple[float, float],
    epsilon: float,
    l2: float = 0.0,
    decay: float = 0.0,
) -> None:
    """One lazy Adam step (Kingma and Ba 2015, torch's SparseAdam).

    The moments of rows that do not occur stay unchanged, whereas a dense step would let them decay.

    Args:
        mean, squares: (n, K) tables of the first and second moments.
        gradients: (N, K) float32.
        rate: the learning rate, including the bias correction of the moments.
        l2: how much of a row is added to its gradient, once however often it occurs.
        decay: the share of a row that is subtracted before the step (Loshchilov and Hutter 2019).
    """
    shares = (1.0 - betas[0], 1.0 - betas[1])
    if _by_triton(weight):
        moments = (mean, squares)
        _run_triton(
            "adam", weight, moments, lookups, gradients, rate=rate, epsilon=epsilon, shares=shares, l2=l2, decay=decay
        )
        return
    if compiled_for(weight):
        occurring = _with_l2(weight, lookups, gradients, l2)
        if decay:
            weight[lookups.distinct] *= 1.0 - decay
        _run_compiled("afm_adam_rows", (weight, mean, squares), occurring, rate, *shares, epsilon)
        return
    rows, total = _summed(weight, lookups, gradients, l2)
    mean[rows] += shares[0] * (total - mean[rows])
    squares[rows] += shares[1] * (total.square() - squares[rows])
    weight[rows] = (1.0 - decay) * weight[rows] - rate * mean[rows] / (squares[rows].sqrt() + epsilon)


def _summed(weight: Tensor, lookups: Lookups, gradients: Tensor, l2: float) -> tuple[Tensor, Tensor]:
    rows, total = summed(lookups.ids, gradients)
    return rows, total + l2 * weight[rows] if l2 else total


def _with_l2(weight: Tensor, lookups: Lookups, gradients: Tensor, l2: float) -> tuple[Tensor, Tensor]:
    """Ids and gradients, with `l2` times the row added once for each distinct id."""
    if not l2:
        return lookups.ids, gradients
    return torch.cat([lookups.ids, lookups.distinct]), torch.cat([gradients, l2 * weight[lookups.distinct]])


def _run_compiled(name: str, tables: tuple[Tensor, ...], occurring: tuple[Tensor, Tensor], *factors: float) -> None:
    ids, gradients = occurring[0].contiguous(), with_contiguous_rows(occurring[1])
    getattr(native_library(), name)(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (*tables, ids, gradients)),
        ctypes.c_int64(len(ids)),
        ctypes.c_int64(gradients.shape[1]),
        ctypes.c_int64(gradients.stride(0)),
        ctypes.c_int(torch.get_num_threads()),
        *map(ctypes.c_float, factors),
    )


def _by_triton(weight: Tensor) -> bool:
    return weight.device.type != "cpu" and weight.dtype == torch.float32 and triton.available()


def _run_triton(
    optimizer: str,
    weight: Tensor,
    moments: tuple[Tensor, Tensor],
    lookups: Lookups,
    gradients: Tensor,
    *,
    rate: float,
    epsilon: float = 0.0,
    shares: tuple[float, float] = (0.0, 0.0),
    l2: float = 0.0,
    decay: float = 0.0,
) -> None:
    from afm_core.kernels import triton_rows  # Triton is a part of torch on GPUs only

    count, width = gradients.shape
    if not count:
        return
    gradients = with_contiguous_rows(gradients)
    ordered, order = lookups.in_order
    partial = torch.empty_like(gradients, memory_format=torch.contiguous_format)
    sizes = triton_rows.constants(width)
    C, K_B, R = sizes["C"], sizes["K_B"], sizes["R"]
    columns = -(-width // K_B)
    triton_rows.sum_chunks[-(-count // C), columns](
        ordered, order, gradients, partial, count, width, gradients.stride(0), C=C, K_B=K_B
    )
    triton_rows.step_rows[-(-count // R), columns](
        ordered, partial, weight, *moments, count, width, rate, epsilon, *shares, l2, decay,
        C=C, K_B=K_B, R=R, OPTIMIZER=optimizer,
    )  # fmt: skip
