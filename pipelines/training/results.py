"""What is measured during a training: validation results, and the results of an epoch."""

from dataclasses import dataclass
from typing import NamedTuple


class Monitored(NamedTuple):
    """A validation result."""

    metric: str
    value: float
    """Lower is better."""


@dataclass(frozen=True)
class Validation:
    """The results of the validation rows of all ranks."""

    metric: str
    """Name of the metric of the task, which `loss` is."""
    loss: float
    auc: float | None = None
    """None unless train.monitor is `auc`."""

    @property
    def monitored(self) -> Monitored:
        """What decides which weights are best: AUC where there is one, or the metric of the task."""
        return Monitored(self.metric, self.loss) if self.auc is None else Monitored("1 - AUC", 1.0 - self.auc)


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch, over all ranks."""

    model: str
    number: int
    steps: int
    rows: int
    """Rows of the epoch; each was used once."""
    metric: str
    """Name of the metric of `train` and `valid`."""
    train: float
    """Metric of the training rows during the epoch, with dropout."""
    valid: float
    rows_per_second: float
    """Without the time of validations."""
    feed_wait: float
    """Share of the training time in which rank 0 waited for its next batch."""
    learning_rate: float
    """At the end of the epoch."""
    resident_mib: list[int]
    """Resident memory of each rank at the end of the epoch."""
    auc: float | None = None
    """Of the validation rows, where train.monitor is `auc`."""
    valid_step: int | None = None
    """The step after which `valid` and `auc` were measured, if a validation within the epoch was better than that at
    its end; None: at its end."""

    @property
    def monitored(self) -> Monitored:
        """The validation result that decides which epoch is best."""
        return Validation(self.metric, self.valid, self.auc).monitored
