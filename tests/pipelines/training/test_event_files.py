"""What is written for TensorBoard is what TensorBoard reads."""

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines.training.event_files import EventFile


def test_tensorboard_reads_every_number(tmp_path: Path) -> None:
    """Attention times the number of pairs is 1 where it is uniform, and up to that number elsewhere."""
    weights = torch.tensor([0.0, 0.5, 1.0, 7.5, 45.0])
    events = EventFile(tmp_path)
    events.scalars({"loss": 0.25}, 3)
    events.histogram("attention", weights, 3)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    (loss,) = read.Scalars("loss")
    assert (loss.step, loss.value) == (3, 0.25)
    (attention,) = read.Histograms("attention")
    found = attention.histogram_value
    assert sum(found.bucket) == len(weights)
    assert found.max == 45.0
    assert found.sum == pytest.approx(float(weights.sum()))
