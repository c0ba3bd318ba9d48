"""What a model is trained for: the loss, and what its output means to the people who get the scores."""

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
    """One task. Scores are what evaluation and scoring give out."""

    loss: Loss
    score: Callable[[Tensor], Tensor]
    """Output to score."""
    validated: Callable[[Tensor], Tensor]
    """Output to what the loss of validation is taken of."""
    monitor: str
    """Name of the number that validation watches; less is better."""
    of_mean: Callable[[float], float]
    """The mean loss to that number."""
    value: Callable[[Numbers], Numbers] | None
    """Score to the scale of the labels, None where it has none."""
    probability: Callable[[Numbers], Numbers] | None
    """Score to P(positive), None where it says nothing of it."""
    calibrated: bool = False
    """Whether the output is fitted to the probabilities of the validation split before it becomes a score."""


def _clip(output: Tensor) -> Tensor:
    return output.clamp(NEGATIVE, POSITIVE)


def _same(output: Tensor) -> Tensor:
    return output


def _half(score: Numbers) -> Numbers:
    """P(positive) of a squared-error score with labels -1 and 1: E[label | x] = 2 P - 1."""
    return (np.asarray(score, dtype=np.float64) - NEGATIVE) / (POSITIVE - NEGATIVE)


def _double(probability: Numbers) -> Numbers:
    return NEGATIVE + (POSITIVE - NEGATIVE) * np.asarray(probability, dtype=np.float64)


TASKS: dict[TaskName, Task] = {
    # Predictions are clipped to the range of the labels, as the paper's evaluation does (section 4.1).
    "regression": Task(squared_error, _clip, _clip, "RMSE", math.sqrt, lambda score: score, _half),
    "classification": Task(
        log_loss, torch.sigmoid, _same, "log loss", float, _double, lambda score: score, calibrated=True
    ),
    "ranking": Task(pair_log_loss, _same, _same, "pair log loss", float, None, None),
}


def task_of(train: TrainSettings) -> Task:
    """The task of the settings, with the loss that they ask for."""
    task = TASKS[train.task]
    return (
        replace(task, loss=squared_error_with_overshoot_penalty(train.overshoot_penalty))
        if train.overshoot_penalty < 1.0
        else task
    )
