"""Real ranks of jobs/train.py, started by Horovod or by torch, for tests that kill, stop and count them."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from afm_core.settings import load_settings
from pipelines.training.checkpoints import Checkpoints
from tests.support.processes import job_command
from tests.support.training_gate import Gate
from tests.support.waiting import wait_for

HOROVODRUN = shutil.which("horovodrun", path=str(Path(sys.executable).parent))
TRAIN = {"warm_start": None, "batch_size": 32, "epochs": 2, "checkpoint_steps": 10, "ema_decay": 0.9}
"""A short training with checkpoints."""

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node"]
TWO_RANKS = {"horovodrun": [str(HOROVODRUN), "-np", "2"], "torchrun": [*TORCHRUN, "2"]}
"""Commands that start two ranks of the command that follows them."""

needs_horovod = pytest.mark.skipif(HOROVODRUN is None, reason="Horovod is not installed; make setup builds it")


def start_ranks(
    config: Path, *arguments: str, launch: Sequence[str] = TWO_RANKS["horovodrun"], gate: Gate | None = None
) -> subprocess.Popen[str]:
    """Start a training on several ranks."""
    command = [*launch, *job_command("train", config, *arguments, fault=gate.fault if gate else ())]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, start_new_session=True, **pipes)


def ranks_at_step(
    config: Path, step: int, n_ranks: int = 2, **options: Sequence[str]
) -> tuple[subprocess.Popen[str], Gate]:
    """A training of which all ranks wait after a step."""
    gate = Gate(config.parent / "gate", "afm", step)
    process = start_ranks(config, gate=gate, **options)
    gate.wait(process, n_ranks)
    return process, gate


def checkpoint_steps(config: Path) -> list[int]:
    return sorted(map(Checkpoints.step_of, load_settings(config).run.checkpoints.glob("afm/step-*")))


def wait_for_checkpoint(config: Path, step: int, process: subprocess.Popen[str]) -> None:
    wait_for(
        lambda: any(written >= step for written in checkpoint_steps(config)), f"a checkpoint of step {step}", process
    )


def rank_process(config: Path, rank: int) -> int:
    """Process id of a rank."""
    return int((load_settings(config).run.path / "ranks" / f"rank-{rank}").read_text().split()[2])


def kill_all(process: subprocess.Popen[str], config: Path) -> None:
    """Kill the launcher and its ranks, each of which is a process group of its own."""
    listed = subprocess.run(["pgrep", "-f", f"--config {config}"], capture_output=True, text=True, check=False)
    for group in {os.getpgid(process.pid), *(os.getpgid(int(pid)) for pid in listed.stdout.split())}:
        os.killpg(group, signal.SIGKILL)
    process.communicate()
