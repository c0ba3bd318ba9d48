"""Tasks: the loss that a model is trained with, and what its output means as a score."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from afm_core.labels import NEGATIVE, POSITIVE
from afm_core.learning.losses import Loss, log_loss, pair_log_loss, squared_error, squared_error_with_overshoot_penalty
from afm_core.settings.train import TaskName, TrainSettings

Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Task:
    """One task. Scores are what evaluation and nightly scoring report."""

    loss: Loss
    score: Callable[[Tensor], Tensor]
    """Maps outputs to scores."""
    validated: Callable[[Tensor], Tensor]
    """Maps outputs to what the validation loss is computed on."""
    monitor: str
    """Name of the monitored validation metric; lower is better."""
    of_mean: Callable[[float], float]
    """Maps the mean validation loss to the monitored metric."""
    value: Callable[[Numbers], Numbers] | None
    """Maps scores to predictions on the scale of the labels; None where scores have no such meaning."""
    probability: Callable[[Numbers], Numbers] | None
    """Maps scores to P(positive); None where scores have no such meaning."""
    calibrated: bool = False
    """Whether outputs are calibrated on the validation split by Platt scaling before they become scores."""


def _clip(output: Tensor) -> Tensor:
    return output.clamp(NEGATIVE, POSITIVE)


def _identity(output: Tensor) -> Tensor:
    return output


def _probability_of_value(score: Numbers) -> Numbers:
    """P(positive) where the score estimates E[label | x] = 2 P - 1, with labels -1 and 1."""
    return (np.asarray(score, dtype=np.float64) - NEGATIVE) / (POSITIVE - NEGATIVE)


def _value_of_probability(probability: Numbers) -> Numbers:
    return NEGATIVE + (POSITIVE - NEGATIVE) * np.asarray(probability, dtype=np.float64)


TASKS: dict[TaskName, Task] = {
    # Predictions are clipped to the range of the labels, as the paper's evaluation does (section 4.1).
    "regression": Task(squared_error, _clip, _clip, "RMSE", math.sqrt, lambda score: score, _probability_of_value),
    "classification": Task(
        log_loss,
        torch.sigmoid,
        _identity,
        "log loss",
        float,
        _value_of_probability,
        lambda score: score,
        calibrated=True,
    ),
    "ranking": Task(pair_log_loss, _identity, _identity, "pair log loss", float, None, None),
}


def task_of(train: TrainSettings) -> Task:
    """The task of the settings, with the configured overshoot penalty."""
    task = TASKS[train.task]
    return (
        replace(task, loss=squared_error_with_overshoot_penalty(train.overshoot_penalty))
        if train.overshoot_penalty < 1.0
        else task
    )
