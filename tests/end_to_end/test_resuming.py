"""Trainings that are cut short go on as if they had not been."""

import json
import resource
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from pipelines.training import loop
from tests.support.jobs import RunJob, run_main
from tests.support.processes import start_job
from tests.support.small import Small
from tests.support.training_gate import Gate

TRAIN = {
    "warm_start": {"model": "fm", "epochs": 2},
    "batch_size": 16,
    "epochs": 3,
    "checkpoint_steps": 7,
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "learning_rate": 0.01,
    "schedule": "cosine",
    "ema_decay": 0.9,
}
KILL_POINTS = [
    ("fm", 161),
    ("afm", 203),
    *[pytest.param(*point, marks=pytest.mark.long) for point in (("fm", 9), ("afm", 8), ("afm", 351))],
]
OF_THE_MACHINE = {"rows_per_second", "feed_wait", "resident_mib"}


def config_for(folder: Path, small: Small, **train: object) -> Path:
    return small.training_config(folder, {**TRAIN, **train}, model={"pooled_dropout": 0.3})


def at_step(config: Path, model: str, step: int) -> subprocess.Popen[str]:
    """A training that waits after a step."""
    gate = Gate(config.parent / "gate", model, step)
    process = start_job("train", config, fault=gate.fault)
    gate.wait(process)
    return process


def checkpoints(config: Path) -> list[Path]:
    return sorted(load_settings(config).run.checkpoints.glob("*/step-*"))


@pytest.fixture(scope="module")
def straight(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbs."""
    config = config_for(tmp_path_factory.mktemp("straight"), small)
    run_main("train", config)
    return config


def assert_same_outcome(config: Path, straight: Path) -> None:
    ours, theirs = (read_bundle(load_settings(path).run.bundle) for path in (config, straight))
    for name, weights in theirs.model.state_dict().items():
        assert torch.equal(ours.model.state_dict()[name], weights), name
    mine, other = (
        [{key: value for key, value in epoch.items() if key not in OF_THE_MACHINE} for epoch in one.metrics["epochs"]]
        for one in (ours, theirs)
    )
    assert mine == other
    last = [checkpoints(path)[-1] for path in (config, straight)]
    states = [json.loads((path / "state.json").read_text()) for path in last]
    assert [path.name for path in last] == [last[0].name] * 2
    assert states[0]["sha256"] == states[1]["sha256"], "weights, optimiser, average and best, bit for bit"


@pytest.mark.parametrize(("model", "step"), KILL_POINTS)
def test_a_killed_training_goes_on_bit_for_bit(
    small: Small, straight: Path, tmp_path: Path, run_job: RunJob, model: str, step: int
) -> None:
    config = config_for(tmp_path, small)
    process = at_step(config, model, step)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not load_settings(config).run.bundle.exists()
    again = run_job("train", config, "--resume", "auto")
    assert again.code == 0, again.err
    assert "continues in epoch" in again.out + again.err
    assert_same_outcome(config, straight)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_training_that_is_asked_to_stop_writes_a_checkpoint_first(
    small: Small, straight: Path, tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    config = config_for(tmp_path, small, checkpoint_steps=100_000)
    process = at_step(config, "fm", 203)
    process.send_signal(stop)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code, out
    assert "a checkpoint was written; continue with --resume auto" in out
    run_main("train", config, "--resume", "auto")
    assert_same_outcome(config, straight)


def test_a_broken_checkpoint_is_named_and_the_one_before_is_used(
    small: Small, straight: Path, tmp_path: Path, run_job: RunJob
) -> None:
    config = config_for(tmp_path, small)
    process = at_step(config, "afm", 31)
    process.kill()
    process.wait()
    newest = checkpoints(config)[0]  # afm comes before fm
    newest = sorted(newest.parent.glob("step-*"))[-1]
    content = (newest / "state.safetensors").read_bytes()
    (newest / "state.safetensors").write_bytes(content[: len(content) // 2])
    again = run_job("train", config, "--resume", "auto")
    assert again.code == 0, again.err
    assert f"{newest.name} is damaged" in " ".join(again.err.split())
    assert_same_outcome(config, straight)


def test_a_checkpoint_of_other_settings_is_refused_by_name(
    small: Small, straight: Path, tmp_path: Path, run_job: RunJob
) -> None:
    outcome = run_job("train", straight, "--resume", "auto", "--set", "train.learning_rate=0.5")
    assert outcome.code == 2
    assert "train.learning_rate was 0.01, is 0.5" in outcome.errors[0]
    assert len(outcome.errors) == 1


def test_a_full_disk_is_one_line_and_leaves_the_checkpoint_before(
    small: Small, straight: Path, tmp_path: Path, run_job: RunJob
) -> None:
    """A limit on the size of files, which the model's checkpoints outgrow when it has a best epoch to keep, too."""
    config = config_for(tmp_path, small)
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        outcome = run_job("train", config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "the checkpoint could not be written" in line
    assert [path.parent.name for path in checkpoints(config)] == ["afm", "afm", "fm", "fm"]
    assert not list(load_settings(config).run.checkpoints.glob("*/.staging*"))
    assert run_job("train", config, "--resume", "auto").code == 0
    assert_same_outcome(config, straight)


def test_a_loss_that_is_not_a_number_stops_and_names_the_rows(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    config = config_for(tmp_path, small, optimizer="sgd", learning_rate=1e9, schedule="constant", ema_decay=0.0)
    outcome = run_job("train", config)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "the loss is not finite in epoch 1" in line
    named = json.loads((tmp_path / "run" / "diverged-rank-0.json").read_text())
    stored = pq.read_table(small.settings.dataset.path / "train", columns=["row_key"])["row_key"].to_pylist()
    assert len(named["row_keys"]) == 16
    assert set(named["row_keys"]) < set(stored)
    assert not load_settings(config).run.bundle.exists()


def test_losses_that_are_read_every_few_steps_change_nothing(
    small: Small, straight: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, which is idle while they are read: the same training, and the same rows are named."""
    named = []
    for number, steps in enumerate((1, 5)):
        monkeypatch.setattr(loop, "_STEPS_BETWEEN_READINGS", {"cpu": steps})
        folder = tmp_path / str(number)
        folder.mkdir()
        diverging = {"optimizer": "sgd", "learning_rate": 1e6, "schedule": "constant", "ema_decay": 0.0}
        outcome = run_job("train", config_for(folder, small, **diverging))
        assert outcome.code == 2
        named.append((folder / "run" / "diverged-rank-0.json").read_text())
    assert named[0] == named[1]
    assert json.loads(named[0])["step"] % 5, "not the step after which they are read"
    config = config_for(tmp_path, small)
    assert run_job("train", config).code == 0
    assert_same_outcome(config, straight)


@pytest.mark.parametrize("checkpoint_steps", [1, 1000])
def test_weights_that_overflow_in_the_last_step_of_an_epoch_are_one_line(
    small: Small, tmp_path: Path, run_job: RunJob, checkpoint_steps: int
) -> None:
    """The loss of that step was finite: it was computed from the weights before it."""
    one_step = {"batch_size": 100_000, "checkpoint_steps": checkpoint_steps, "embedding_l2": 1e6}
    rate = {"optimizer": "sgd", "learning_rate": 1e38, "schedule": "constant", "ema_decay": 0.0}
    config = config_for(tmp_path, small, **one_step, **rate)
    outcome = run_job("train", config)
    assert outcome.code == 2, outcome.err
    (line,) = outcome.errors
    assert "is not finite after step 1 of epoch 1; lower train.learning_rate and train again, without --resume" in line
    assert "nan" not in outcome.out
    assert not load_settings(config).run.bundle.exists()
    assert not checkpoints(config), "no checkpoint holds spoiled weights"
    assert run_job("train", config, "--set", "train.learning_rate=1e-9").code == 0, "the advice works"


def test_a_validation_loss_that_is_not_a_number_is_one_line(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    """The weights are finite, but what is computed from them overflows."""
    rate = {"optimizer": "sgd", "learning_rate": 1e38, "schedule": "constant", "ema_decay": 0.0}
    config = config_for(tmp_path, small, batch_size=100_000, checkpoint_steps=1000, **rate)
    outcome = run_job("train", config)
    assert outcome.code == 2, outcome.err
    (line,) = outcome.errors
    assert "the validation loss is nan after step 1 of epoch 1; lower train.learning_rate and train again" in line
    assert not checkpoints(config)
