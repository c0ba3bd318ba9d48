"""What a training reports of its epochs."""

from pathlib import Path

import pytest

from afm_core.settings.run import RunSettings
from pipelines.training.results import Epoch
from pipelines.training.training_logger import TrainingLogger


def test_an_epoch_at_less_than_half_of_the_best_rate_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = TrainingLogger(RunSettings.model_validate({"path": str(tmp_path)}), 0)
    slow = []
    for model, rates in (("fm", [900.0, 500.0]), ("afm", [100.0, 200.0, 99.0, 120.0])):
        logger.training_started(model, "", {})
        for number, rate in enumerate(rates, start=1):
            capsys.readouterr()
            logger.epoch_done(Epoch(model, number, 10, 100, "RMSE", 0.5, 0.6, rate, 0.1, 0.01, [100]), is_best=True)
            if "less than half of what it was" in " ".join(capsys.readouterr().err.split()):
                slow.append((model, rate))
    assert slow == [("afm", 99.0)]
