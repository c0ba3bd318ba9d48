"""From a model's output to the score that people get. Evaluation and scoring come here."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from afm_core.learning.tasks import TASKS
from afm_core.models import AnyModel, EncodedBatch
from afm_core.settings.training import TaskName

_SCORING_ROWS = 1024  # rows at a time: 45 pairs x 256 floats of 1,024 rows are 47 MB


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

    @torch.inference_mode()
    def predict(self, batch: EncodedBatch) -> Tensor:
        """Scores of a batch, (B,) float32, dropout off."""
        self.model.eval()
        return self.score(batch)

    def score(self, batch: EncodedBatch) -> Tensor:
        """As `predict`, in whatever mode the model is, and with gradients."""
        return self.of_output(self.model(batch))

    def of_output(self, output: Tensor) -> Tensor:
        """Scores of the model's outputs, (B,) float32."""
        if self.task.calibrated:
            output = (output * self.slope + self.intercept).float()
        return self.task.score(output)

    def predict_columns(
        self, ids: NDArray[np.int32], x: NDArray[np.float32], x_of_slots: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Scores of any number of rows, ids (N, F) and x (N, X) to (N,) float32, in pieces that bound memory."""
        scores = np.empty(len(ids), dtype=np.float32)
        for start in range(0, len(ids), _SCORING_ROWS):
            rows = slice(start, start + _SCORING_ROWS)
            piece = EncodedBatch.of_columns(
                torch.from_numpy(ids[rows].astype(np.int64)), torch.from_numpy(x[rows]), x_of_slots
            )
            scores[rows] = self.predict(piece).numpy()
        return scores
