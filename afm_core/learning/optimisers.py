"""Optimisers by name. A step with a sparse gradient updates only the rows of its batch, duplicates summed first."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from afm_core.kernels.large_pages import on_large_pages
from afm_core.kernels.rows import adagrad_rows, adam_rows, each_once
from afm_core.settings.train import TrainSettings

_AUTHORS_ACCUMULATOR = 1e-8  # with the gradient of half the summed squared error


def build_optimizer(parameters: Iterable[Parameter], train: TrainSettings) -> Optimizer:
    """The optimiser of the settings; Adagrad with the AFM authors' initial accumulator.

    Adagrad's steps do not depend on the scale of the loss, except through the initial accumulator. Our loss is the mean
    over the batch, whose gradient is 2 / batch_size times that of the authors' half sum, so their accumulator is scaled
    by the square of that factor.
    """
    match train.optimizer:
        case "adam":
            return RowAdam(parameters, lr=train.learning_rate)
        case "adamw":
            return RowAdamW(parameters, lr=train.learning_rate, weight_decay=train.weight_decay)
        case "sgd":
            return SGD(parameters, lr=train.learning_rate)  # torch's own step touches only the rows of the batch
    accumulator = _AUTHORS_ACCUMULATOR * (2.0 / train.batch_size) ** 2
    return RowAdagrad(parameters, lr=train.learning_rate, initial_accumulator_value=accumulator)


class RowAdagrad(Adagrad):
    """torch's Adagrad; with a sparse gradient it updates only the rows of the batch, which equals a dense step."""

    def __init__(self, parameters: Iterable[Parameter], **options: Any) -> None:
        super().__init__(parameters, **options)
        for state in self.state.values():
            state["sum"] = on_large_pages(torch.empty_like(state["sum"])).copy_(state["sum"])

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. Sparse gradients are applied and removed first; torch's own step handles the dense ones."""
        for group, parameter, ids, values in _take_sparse(self):
            adagrad_rows(parameter, self.state[parameter]["sum"], ids, values, group["lr"], group["eps"])
        return super().step(closure)


class RowAdam(Adam):
    """torch's Adam; with a sparse gradient, torch's SparseAdam: the moments of other rows do not decay."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. Sparse gradients are applied and removed first; torch's own step handles the dense ones."""
        _adam_steps_on_rows(self)
        return super().step(closure)


class RowAdamW(AdamW):
    """torch's AdamW (Loshchilov and Hutter 2019); with a sparse gradient, step and decay apply to its rows only."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. Sparse gradients are applied and removed first; torch's own step handles the dense ones."""
        _adam_steps_on_rows(self)
        return super().step(closure)


def _adam_steps_on_rows(optimizer: Adam) -> None:
    decoupled = isinstance(optimizer, AdamW)
    for group, parameter, ids, values in _take_sparse(optimizer):
        state = optimizer.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment] = on_large_pages(torch.empty_like(parameter)).zero_()
        state["step"] += 1
        if decoupled and group["weight_decay"]:
            rows, _ = each_once(ids)  # not in place: the row of an id that occurs again decays once
            parameter[rows] = parameter[rows] * (1.0 - group["lr"] * group["weight_decay"])
        betas = group["betas"]
        step = int(state["step"])  # lies on the host
        corrections = [1.0 - beta**step for beta in betas]
        rate = group["lr"] * math.sqrt(corrections[1]) / corrections[0]
        moments = state["exp_avg"], state["exp_avg_sq"]
        adam_rows(parameter, *moments, ids, values, rate=rate, betas=betas, epsilon=group["eps"])


def add_row_l2(parameters: Iterable[Parameter], l2: float) -> None:
    """Add l2 times the weights to each sparse gradient, once for each distinct row in it; dense gradients stay as is.

    Call it after the sum over ranks, when the gradient holds the rows of all ranks.
    """
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None and gradient.is_sparse:
            ids, values = gradient._indices()[0], gradient._values()
            rows, is_first = each_once(ids)
            penalties = l2 * parameter.detach()[rows]
            if is_first is not None:
                penalties *= is_first.unsqueeze(1)
            ids, values = torch.cat([ids, rows]), torch.cat([values, penalties])
            parameter.grad = torch.sparse_coo_tensor(ids.unsqueeze(0), values, gradient.shape, check_invariants=False)


def _take_sparse(optimizer: Optimizer) -> Iterable[tuple[dict[str, Any], Parameter, Tensor, Tensor]]:
    """Remove the sparse gradients; yield each one's group, parameter, ids (N,) and values (N, K)."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is not None and gradient.is_sparse:
                parameter.grad = None
                yield group, parameter, gradient._indices()[0], gradient._values()
