"""What a training ends with."""

from dataclasses import dataclass

from torch import Tensor

from afm_core.learning.calibrated_model import CalibratedModel
from pipelines.training.results import Epoch
from pipelines.training.stages import Stage


@dataclass(frozen=True)
class Best:
    """The validation result of the weights that are kept."""

    epoch: int
    """0 where no epoch was better than the start."""
    metric: str
    valid: float


@dataclass(frozen=True)
class Fit:
    """A finished training."""

    calibrated_model: CalibratedModel
    """With the weights of the epoch `best`."""
    epochs: list[Epoch]
    best: Best
    optimizer: dict[str, Tensor]
    """Final state of the optimiser, as `parameter/key`."""


@dataclass(frozen=True)
class Run:
    """The finished trainings of a run: the warm start's, if there is one, and the model's."""

    fits: list[tuple[Stage, Fit]]

    @property
    def main(self) -> Fit:
        """The model's."""
        return self.fits[-1][1]
