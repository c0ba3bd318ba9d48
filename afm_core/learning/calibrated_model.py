"""A model together with what turns its outputs into scores."""

import torch
from torch import Tensor, nn

from afm_core.learning.tasks import TASKS
from afm_core.models import AnyModel, EncodedBatch
from afm_core.settings.train import TaskName


class CalibratedModel(nn.Module):
    """A model and its task's score: score(slope x output + intercept), calibrated only for tasks with probabilities."""

    slope: Tensor
    intercept: Tensor

    def __init__(self, model: AnyModel, task: TaskName) -> None:
        super().__init__()
        self.model, self.task = model, TASKS[task]
        self.register_buffer("slope", torch.ones((), dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros((), dtype=torch.float64))

    def calibrate(self, slope: float, intercept: float) -> None:
        """Set the calibration; 1 and 0 leave outputs as they are."""
        self.slope.fill_(slope)
        self.intercept.fill_(intercept)

    def score(self, batch: EncodedBatch) -> Tensor:
        """Scores of a batch, (B,) float32, in the mode the model is in, and differentiable."""
        return self.to_score(self.model(batch))

    def to_score(self, output: Tensor) -> Tensor:
        """Scores of the model's outputs, (B,) float32."""
        if self.task.calibrated:
            output = (output * self.slope + self.intercept).float()
        return self.task.score(output)
