"""Two Horovod ranks that are cut short go on, and end as if they had not been."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from tests.conftest import Small
from tests.support.ranks import at_step, config_for, finish, kill_all, needs_horovod, start, steps
from tests.support.training_gate import ROOT

pytestmark = needs_horovod
STEP = 103  # in the second epoch


@pytest.fixture(scope="module")
def straight(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_for(tmp_path_factory.mktemp("straight"), small)
    finish(start(config))
    return config


def assert_same_outcome(config: Path, straight: Path) -> None:
    ours, theirs = (read_bundle(load_settings(path).run.bundle) for path in (config, straight))
    for name, weights in theirs.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], weights, rtol=1e-6, atol=1e-6)
    for mine, other in zip(ours.metrics["epochs"], theirs.metrics["epochs"], strict=True):
        assert mine["train"] == pytest.approx(other["train"], rel=1e-6)
        assert mine["valid"] == pytest.approx(other["valid"], rel=1e-6)


def test_two_ranks_that_were_killed_go_on(small: Small, straight: Path, tmp_path: Path) -> None:
    config = config_for(tmp_path, small)
    process, _ = at_step(config, STEP)
    kill_all(process, config)
    assert "goes on in epoch 2" in finish(start(config, "--resume", "auto"))
    assert_same_outcome(config, straight)


def test_horovodrun_that_is_asked_to_stop_leaves_a_checkpoint(small: Small, straight: Path, tmp_path: Path) -> None:
    config = config_for(tmp_path, small, checkpoint_steps=100_000)
    process, _ = at_step(config, STEP)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "stopped by signal" in out, out
    assert STEP <= steps(config)[-1] < STEP + 8, "only the end of an epoch was written"
    finish(start(config, "--resume", "auto"))
    assert_same_outcome(config, straight)


def test_one_rank_goes_on_where_two_were_killed(small: Small, straight: Path, tmp_path: Path) -> None:
    """Every row that the two had left is read; in another order, so that the outcome is near theirs, not theirs."""
    config = config_for(tmp_path, small)
    process, _ = at_step(config, STEP)
    kill_all(process, config)
    command = [sys.executable, str(ROOT / "jobs" / "train.py"), "--config", str(config), "--resume", "auto"]
    subprocess.run(command, capture_output=True, check=True, timeout=300)
    ours, theirs = (read_bundle(load_settings(path).run.bundle).metrics for path in (config, straight))
    assert [epoch["rows"] for epoch in ours["epochs"]] == [epoch["rows"] for epoch in theirs["epochs"]]
    assert ours["valid"] == pytest.approx(theirs["valid"], abs=0.03)
