"""Real Horovod ranks of jobs/train.py, for tests that kill, stop and count them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from afm_core.settings import load_settings
from pipelines.training.checkpoints import Checkpoints
from tests.conftest import Small, write_config
from tests.support.training_gate import ROOT, Gate
from tests.support.waiting import wait_for

HOROVODRUN = shutil.which("horovodrun", path=str(Path(sys.executable).parent))
TRAIN = {"warm_start": None, "batch_size": 32, "epochs": 2, "checkpoint_steps": 10, "ema_decay": 0.9}

needs_horovod = pytest.mark.skipif(HOROVODRUN is None, reason="Horovod is not installed; make setup builds it")


def config_for(folder: Path, small: Small, **train: object) -> Path:
    """Settings of a training on the small dataset that writes below `folder`."""
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    return write_config(folder, small.settings.logs.path, dataset=dataset, train={**TRAIN, **train})


def start(
    config: Path, *arguments: str, ranks: tuple[str, ...] = ("-np", "2"), gate: Gate | None = None
) -> subprocess.Popen[str]:
    job = gate.command() if gate else [sys.executable, str(ROOT / "jobs" / "train.py")]
    command = [str(HOROVODRUN), *ranks, *job, "--config", str(config), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, start_new_session=True, **pipes)


def at_step(
    config: Path, step: int, n_ranks: int = 2, **options: tuple[str, ...]
) -> tuple[subprocess.Popen[str], Gate]:
    """A training of which all ranks wait after a step."""
    gate = Gate(config.parent / "gate", "afm", step)
    process = start(config, gate=gate, **options)
    gate.wait(process, n_ranks)
    return process, gate


def steps(config: Path) -> list[int]:
    return sorted(map(Checkpoints.step_of, load_settings(config).run.checkpoints.glob("afm/step-*")))


def wait_for_steps(config: Path, wanted: int, process: subprocess.Popen[str]) -> None:
    wait_for(lambda: any(step >= wanted for step in steps(config)), f"a checkpoint of step {wanted}", process)


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def process_of(config: Path, rank: int) -> int:
    return int((load_settings(config).run.path / "ranks" / f"rank-{rank}").read_text().split()[2])


def kill_all(process: subprocess.Popen[str], config: Path) -> None:
    """horovodrun and its ranks, each of which is a process group of its own."""
    found = subprocess.run(["pgrep", "-f", f"--config {config}"], capture_output=True, text=True, check=False)
    for group in {os.getpgid(process.pid), *(os.getpgid(int(pid)) for pid in found.stdout.split())}:
        os.killpg(group, signal.SIGKILL)
    process.communicate()
