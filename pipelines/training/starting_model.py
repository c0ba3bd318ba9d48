"""What a training falls back to where no epoch is better: the model that it started from."""

from collections.abc import Callable
from dataclasses import dataclass

from afm_core.models import AFM, FM, AnyModel, Shape


@dataclass(frozen=True)
class StartingModel:
    """A model of the kind that is trained, with the weights of another one."""

    name: str
    """Where the weights are from, for messages."""
    build: Callable[[], AnyModel]
    """Builds it, the same each time. Until then, nothing is in memory."""


def keep_outputs(model: AnyModel, start: AnyModel, shape: Shape) -> AnyModel:
    """A model with the factors of another, changed to give the other's outputs where it can: an AFM those of an FM."""
    if type(model) is AFM and isinstance(start, FM):
        model.start_as_sum(shape.n_columns)
    return model
