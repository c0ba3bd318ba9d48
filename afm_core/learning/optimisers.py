"""Optimisers by name. A step with a sparse gradient updates only the rows of its batch, duplicates summed first."""

import math
from collections.abc import Iterable
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from afm_core.kernels.large_pages import on_large_pages
from afm_core.kernels.row_steps import Lookups, adagrad_rows, adam_rows, sgd_rows
from afm_core.settings.train import TrainSettings

_AUTHORS_ACCUMULATOR = 1e-8  # with the gradient of half the summed squared error


def build_optimizer(parameters: Iterable[Parameter], train: TrainSettings) -> Optimizer:
    """The optimiser of the settings; Adagrad with the AFM authors' initial accumulator.

    Adagrad's steps do not depend on the scale of the loss, except through the initial accumulator. Our loss is the mean
    over the batch, whose gradient is 2 / batch_size times that of the authors' half sum, so their accumulator is scaled
    by the square of that factor.
    """
    row_l2 = train.embedding_l2 if train.embedding_l2_counts == "rows" else 0.0
    parameters, options = list(parameters), {"lr": train.learning_rate, "row_l2": row_l2}
    match train.optimizer:
        case "adam":
            return RowAdam(parameters, **options)
        case "adamw":
            return RowAdamW(parameters, **options, weight_decay=train.weight_decay)
        case "sgd":
            return RowSGD(parameters, **options)
    accumulator = _AUTHORS_ACCUMULATOR * (2.0 / train.batch_size) ** 2
    return RowAdagrad(parameters, **options, initial_accumulator_value=accumulator)


class _OnRows(Optimizer):
    """Steps sparse gradients on the rows of the batch; the optimiser of torch that it is mixed into does the rest.

    torch's methods are called without their wrappers, which import the tracer of torch.compile: seconds of every start.
    """

    add_param_group, state_dict = unwrap(Optimizer.add_param_group), unwrap(Optimizer.state_dict)
    load_state_dict, zero_grad = unwrap(Optimizer.load_state_dict), unwrap(Optimizer.zero_grad)

    def __init__(self, parameters: Iterable[Parameter], *, row_l2: float = 0.0, **options: Any) -> None:
        """Take torch's options, and one more.

        Args:
            row_l2: how much of a row is added to its sparse gradient, once for each batch in which it occurs.
        """
        super().__init__(parameters, **options)
        self._row_l2 = row_l2

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. Sparse gradients are applied and removed first; torch's own step handles the dense ones."""
        for group, parameter, lookups, values in _take_sparse(self):
            self._step_rows(group, parameter, lookups, values)
        return unwrap(super().step.__func__)(self, closure)  # type: ignore[attr-defined]

    def _step_rows(self, group: dict[str, Any], parameter: Parameter, lookups: Lookups, values: Tensor) -> None:
        raise NotImplementedError


class RowSGD(_OnRows, SGD):
    """torch's SGD; with a sparse gradient it updates only the rows of the batch, which equals a dense step."""

    def _step_rows(self, group: dict[str, Any], parameter: Parameter, lookups: Lookups, values: Tensor) -> None:
        sgd_rows(parameter, lookups, values, rate=group["lr"], l2=self._row_l2)


class RowAdagrad(_OnRows, Adagrad):
    """torch's Adagrad; with a sparse gradient it updates only the rows of the batch, which equals a dense step."""

    def __init__(self, parameters: Iterable[Parameter], **options: Any) -> None:
        super().__init__(parameters, **options)
        for state in self.state.values():
            state["sum"] = on_large_pages(torch.empty_like(state["sum"])).copy_(state["sum"])

    def _step_rows(self, group: dict[str, Any], parameter: Parameter, lookups: Lookups, values: Tensor) -> None:
        squares, rate, epsilon = self.state[parameter]["sum"], group["lr"], group["eps"]
        adagrad_rows(parameter, squares, lookups, values, rate=rate, epsilon=epsilon, l2=self._row_l2)


class _AdamOnRows(_OnRows):
    def __init__(self, parameters: Iterable[Parameter], **options: Any) -> None:
        parameters = list(parameters)
        # On a GPU one kernel steps all dense parameters; on a CPU torch decides.
        super().__init__(parameters, fused=True if any(map(_on_gpu, parameters)) else None, **options)

    def _step_rows(self, group: dict[str, Any], parameter: Parameter, lookups: Lookups, values: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment] = on_large_pages(torch.empty_like(parameter)).zero_()
        elif state["step"].device.type != "cpu":  # once, after a checkpoint was read
            state["step"] = state["step"].cpu()
        state["step"] += 1
        betas = group["betas"]
        step = int(state["step"])
        corrections = [1.0 - beta**step for beta in betas]
        adam_rows(
            parameter,
            state["exp_avg"],
            state["exp_avg_sq"],
            lookups,
            values,
            rate=group["lr"] * math.sqrt(corrections[1]) / corrections[0],
            betas=betas,
            epsilon=group["eps"],
            l2=self._row_l2,
            decay=group["lr"] * group["weight_decay"] if isinstance(self, AdamW) else 0.0,
        )


class RowAdam(_AdamOnRows, Adam):
    """torch's Adam; with a sparse gradient, torch's SparseAdam: the moments of other rows do not decay."""


class RowAdamW(_AdamOnRows, AdamW):
    """torch's AdamW (Loshchilov and Hutter 2019); with a sparse gradient, step and decay apply to its rows only."""


def _on_gpu(parameter: Parameter) -> bool:
    return parameter.device.type != "cpu"


def _take_sparse(optimizer: Optimizer) -> Iterable[tuple[dict[str, Any], Parameter, Lookups, Tensor]]:
    """Remove the sparse gradients; yield each one's group, parameter, look-ups and values (N, K)."""
    shared: dict[tuple[int, int], Lookups] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is not None and gradient.is_sparse:
                parameter.grad = None
                ids = gradient._indices()[0]
                lookups = shared.setdefault((ids.data_ptr(), len(ids)), Lookups(ids))
                yield group, parameter, lookups, gradient._values()
