"""Everything a training uses and does not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from afm_core.learning.tasks import Task, task_of
from afm_core.settings import Settings
from pipelines.feeding.feed import Feed
from pipelines.training.checkpoints import Checkpoints
from pipelines.training.communicator import Communicator
from pipelines.training.parent_bundle import ParentBundle
from pipelines.training.starting_model import StartingModel
from pipelines.training.training_logger import TrainingLogger


@dataclass(frozen=True)
class TrainingContext:
    """Everything a training uses and does not change."""

    name: str
    """Of the stage of the run, for log lines."""
    settings: Settings
    train: Feed
    valid: Feed
    ranks: Communicator
    logger: TrainingLogger
    checkpoints: Checkpoints
    device: torch.device
    parent: ParentBundle | None = None
    """Bundle that the training continues from, optimiser included."""
    start: StartingModel | None = None
    """What is kept if no epoch is better; None for a training from random weights."""

    start_optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    """State of a warm start's optimiser that the training goes on with, as `parameter/key`."""

    @property
    def task(self) -> Task:
        """The task of the settings."""
        return task_of(self.settings.train)
