"""Optimisers by name."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Adagrad, Optimizer

from afm_core.kernels.rows import adagrad_rows
from afm_core.settings.tree import Train

_AUTHORS_ACCUMULATOR = 1e-8  # for the gradient of half the summed squared error


def build_optimizer(parameters: Iterable[Parameter], train: Train) -> Optimizer:
    """Adagrad with the AFM authors' initial accumulator.

    Adagrad forgets the scale of the loss but for the accumulator. Ours is the mean over the batch, whose gradient is
    2 / batch_size times that of the authors' half sum, so their accumulator is scaled by the square of that.
    """
    accumulator = _AUTHORS_ACCUMULATOR * (2.0 / train.batch_size) ** 2
    return RowAdagrad(parameters, lr=train.learning_rate, initial_accumulator_value=accumulator)


class RowAdagrad(Adagrad):
    """torch's Adagrad; a sparse gradient's step touches only the rows of its batch, duplicates summed once."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; sparse gradients are used up, so that what is left is dense."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and gradient.is_sparse:
                    accumulator = self.state[parameter]["sum"]
                    ids, values = gradient._indices()[0], gradient._values()
                    adagrad_rows(parameter, accumulator, ids, values, group["lr"], group["eps"])
                    parameter.grad = None
        return super().step(closure)
