"""Two Horovod ranks that are cut short go on, and end as if they had not been."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from pipelines.training.checkpoints import Checkpoints
from tests.conftest import Small, write_config

ROOT = Path(__file__).parents[2]
HOROVODRUN = shutil.which("horovodrun", path=str(Path(sys.executable).parent))
TRAIN = {"warm_start": None, "batch_size": 32, "epochs": 2, "checkpoint_steps": 10, "average": 0.9}

pytestmark = pytest.mark.skipif(HOROVODRUN is None, reason="Horovod is not installed; make setup builds it")


def config_for(folder: Path, small: Small, **train: object) -> Path:
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    return write_config(folder, small.settings.logs.path, dataset=dataset, train={**TRAIN, **train})


def start(config: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [str(HOROVODRUN), "-np", "2", sys.executable, str(ROOT / "jobs" / "train.py"), "--config", str(config)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, *arguments], start_new_session=True, **pipes)


def steps(config: Path) -> list[int]:
    return sorted(map(Checkpoints.step_of, load_settings(config).run.checkpoints.glob("afm/step-*")))


def wait_for_steps(config: Path, wanted: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not any(step >= wanted for step in steps(config)):
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


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
    process = start(config)
    wait_for_steps(config, 100, process)
    for group in {os.getpgid(process.pid), *_groups_of(config)}:
        os.killpg(group, signal.SIGKILL)
    process.communicate()
    assert "goes on in epoch 2" in finish(start(config, "--resume", "auto"))
    assert_same_outcome(config, straight)


def test_horovodrun_that_is_asked_to_stop_leaves_a_checkpoint(small: Small, straight: Path, tmp_path: Path) -> None:
    config = config_for(tmp_path, small, checkpoint_steps=100_000)
    process = start(config)
    wait_for_steps(config, 75, process)  # the end of an epoch
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "stopped by signal" in out, out
    assert steps(config)[-1] not in (79, 158), "only the end of an epoch was written"
    finish(start(config, "--resume", "auto"))
    assert_same_outcome(config, straight)


def test_another_number_of_ranks_is_refused_by_name(small: Small, straight: Path) -> None:
    process = subprocess.run(
        [sys.executable, ROOT / "jobs" / "train.py", "--config", straight, "--resume", "auto"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "ranks was 2, is 1" in process.stderr


def _groups_of(config: Path) -> set[int]:
    """Process groups of the ranks: horovodrun gives each one of its own."""
    found = subprocess.run(["pgrep", "-f", f"train.py --config {config}"], capture_output=True, text=True, check=False)
    return {os.getpgid(int(pid)) for pid in found.stdout.split()}
