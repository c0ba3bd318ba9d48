"""From a model's output to the score that people get."""

import torch
from torch import Tensor, nn

from afm_core.learning.tasks import TASKS
from afm_core.models import AnyModel, EncodedBatch
from afm_core.settings.train import TaskName


class Predictor(nn.Module):
    """A model, and the scores of its task: score(slope x output + intercept)."""

    slope: Tensor
    intercept: Tensor

    def __init__(self, model: AnyModel, task: TaskName) -> None:
        super().__init__()
        self.model, self.task = model, TASKS[task]
        self.register_buffer("slope", torch.ones((), dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros((), dtype=torch.float64))

    def calibrate(self, slope: float, intercept: float) -> None:
        """Set what a task with probabilities does to outputs first; 1 and 0 change nothing."""
        self.slope.fill_(slope)
        self.intercept.fill_(intercept)

    def score(self, batch: EncodedBatch) -> Tensor:
        """Scores of a batch, (B,) float32, in whatever mode the model is, and with gradients."""
        return self.of_output(self.model(batch))

    def of_output(self, output: Tensor) -> Tensor:
        """Scores of the model's outputs, (B,) float32."""
        if self.task.calibrated:
            output = (output * self.slope + self.intercept).float()
        return self.task.score(output)
