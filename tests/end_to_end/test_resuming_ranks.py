"""Two ranks that are cut short go on, and end as if they had not been."""

import signal
from pathlib import Path

import pytest
import torch

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from tests.support.processes import finish, start_job
from tests.support.ranks import TRAIN, TWO_RANKS, checkpoint_steps, kill_all, needs_horovod, ranks_at_step, start_ranks
from tests.support.small import Small

pytestmark = needs_horovod
STEP = 103  # in the second epoch


@pytest.fixture(scope="module")
def straight(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small.training_config(tmp_path_factory.mktemp("straight"), TRAIN)
    finish(start_ranks(config))
    return config


def assert_same_outcome(config: Path, straight: Path) -> None:
    ours, theirs = (read_bundle(load_settings(path).run.bundle) for path in (config, straight))
    for name, weights in theirs.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], weights, rtol=1e-6, atol=1e-6)
    for mine, other in zip(ours.metrics["epochs"], theirs.metrics["epochs"], strict=True):
        assert mine["train"] == pytest.approx(other["train"], rel=1e-6)
        assert mine["valid"] == pytest.approx(other["valid"], rel=1e-6)


def test_two_ranks_that_were_killed_go_on(small: Small, straight: Path, tmp_path: Path) -> None:
    config = small.training_config(tmp_path, TRAIN)
    process, _ = ranks_at_step(config, STEP)
    kill_all(process, config)
    assert "continues in epoch 2" in finish(start_ranks(config, "--resume", "auto"))
    assert_same_outcome(config, straight)


@pytest.mark.parametrize("launcher", ["horovodrun", pytest.param("torchrun", marks=pytest.mark.long)])
def test_a_launcher_that_is_asked_to_stop_leaves_a_checkpoint(
    small: Small, straight: Path, tmp_path: Path, launcher: str
) -> None:
    """The two add in other orders: one that goes on where the other was stopped ends as if it had not been."""
    config = small.training_config(tmp_path, {**TRAIN, "checkpoint_steps": 100_000})
    process, _ = ranks_at_step(config, STEP, launch=TWO_RANKS[launcher])
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    # Not horovodrun's own exit code: it was once seen to be 0 on a busy machine. What the ranks did is what counts.
    assert "stopped by signal" in out, out
    assert STEP <= checkpoint_steps(config)[-1] < STEP + 8, "only the end of an epoch was written"
    finish(start_ranks(config, "--resume", "auto"))
    assert_same_outcome(config, straight)


def test_one_rank_goes_on_where_two_were_killed(small: Small, straight: Path, tmp_path: Path) -> None:
    """Every row that the two had left is read; in another order, so that the outcome is near theirs, not theirs."""
    config = small.training_config(tmp_path, TRAIN)
    process, _ = ranks_at_step(config, STEP)
    kill_all(process, config)
    finish(start_job("train", config, "--resume", "auto"))
    ours, theirs = (read_bundle(load_settings(path).run.bundle).metrics for path in (config, straight))
    assert [epoch["rows"] for epoch in ours["epochs"]] == [epoch["rows"] for epoch in theirs["epochs"]]
    assert ours["valid"] == pytest.approx(theirs["valid"], abs=0.03)
