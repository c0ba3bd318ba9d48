"""Optimisers by name."""

from collections.abc import Iterable

from torch.nn import Parameter
from torch.optim import Adagrad, Optimizer

from afm_core.settings.tree import Train

_AUTHORS_ACCUMULATOR = 1e-8  # for the gradient of half the summed squared error


def build_optimizer(parameters: Iterable[Parameter], train: Train) -> Optimizer:
    """Adagrad with the AFM authors' initial accumulator.

    Adagrad forgets the scale of the loss but for the accumulator. Ours is the mean over the batch, whose gradient is
    2 / batch_size times that of the authors' half sum, so their accumulator is scaled by the square of that.
    """
    accumulator = _AUTHORS_ACCUMULATOR * (2.0 / train.batch_size) ** 2
    return Adagrad(parameters, lr=train.learning_rate, initial_accumulator_value=accumulator)
