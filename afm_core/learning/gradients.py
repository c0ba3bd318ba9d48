"""What is done to gradients between a backward pass and the optimiser's step. Nothing waits for a GPU."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Parameter

from afm_core.kernels.rows import sum_of_each_row


def add_lookup_l2(parameters: Iterable[Parameter], l2: float) -> None:
    """Add `l2` times the vector that was looked up to the gradient of each look-up in a table.

    That is the gradient of l2 / 2 times the squared norms of all vectors of the batch, repeated ones counted each time.
    """
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            vectors = parameter.detach()[parameter.grad._indices()[0]]
            parameter.grad = _with_values(parameter.grad, torch.add(parameter.grad._values(), vectors, alpha=l2))


def clip(parameters: Iterable[Parameter], longest: float) -> None:
    """Scale all gradients down by one factor, if their Euclidean norm together is more than `longest`.

    As torch's `clip_grad_norm_` for dense gradients. In the norm, the look-ups of a row are summed first.
    """
    with_gradients = [parameter for parameter in parameters if parameter.grad is not None]
    norms = [_norm(parameter.grad) for parameter in with_gradients if parameter.grad is not None]
    factor = (longest / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-6)).clamp(max=1.0).to(torch.float32)
    for parameter in with_gradients:
        assert parameter.grad is not None
        if parameter.grad.is_sparse:
            parameter.grad = _with_values(parameter.grad, parameter.grad._values() * factor)
        else:
            parameter.grad.mul_(factor)


def _norm(gradient: Tensor) -> Tensor:
    numbers = sum_of_each_row(gradient._indices()[0], gradient._values()) if gradient.is_sparse else gradient
    norm: Tensor = torch.linalg.vector_norm(numbers, dtype=torch.float64)
    return norm


def _with_values(gradient: Tensor, values: Tensor) -> Tensor:
    """Not in place, for values may be those of another gradient, too."""
    return torch.sparse_coo_tensor(gradient._indices(), values, gradient.shape, check_invariants=False)
