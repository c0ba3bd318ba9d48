"""Ranks that die, stop or stay away while others wait for them: real processes, real signals."""

import os
import signal
import time
from pathlib import Path

import pytest

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from tests.support.processes import finish
from tests.support.ranks import (
    HOROVODRUN,
    TORCHRUN,
    TRAIN,
    TWO_RANKS,
    checkpoint_steps,
    needs_horovod,
    rank_process,
    ranks_at_step,
    start_ranks,
)
from tests.support.small import Small

pytestmark = needs_horovod
LAUNCHERS = ["horovodrun", pytest.param("torchrun", marks=pytest.mark.long)]
HERE = [str(HOROVODRUN), "--network-interface", "lo", "--min-np", "1", "--max-np", "2"]


@pytest.mark.parametrize("launcher", TWO_RANKS)
def test_a_rank_that_is_killed_ends_the_others_by_name_and_resuming_repairs(
    small: Small, tmp_path: Path, launcher: str
) -> None:
    config = small.training_config(tmp_path, {**TRAIN, "stall_seconds": 30})
    process, gate = ranks_at_step(config, 35, launch=TWO_RANKS[launcher])
    os.kill(rank_process(config, 1), signal.SIGKILL)
    gate.open()
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "rank 0 of 2 cannot continue: rank 1 (process" in out, out
    assert "is gone; restart with --resume auto" in out
    assert "continues in epoch" in finish(start_ranks(config, "--resume", "auto", launch=TWO_RANKS[launcher]))


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_a_rank_that_is_stopped_for_a_while_is_waited_for(small: Small, tmp_path: Path, seconds: int) -> None:
    config = small.training_config(tmp_path, TRAIN)
    process, gate = ranks_at_step(config, 35)
    stopped = rank_process(config, 1)
    os.kill(stopped, signal.SIGSTOP)
    gate.open()
    time.sleep(seconds)
    assert checkpoint_steps(config)[-1] == 30, "rank 0 went on alone"
    os.kill(stopped, signal.SIGCONT)
    finish(process)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_rank_that_stays_away_too_long_ends_the_training_by_name(small: Small, tmp_path: Path, launcher: str) -> None:
    config = small.training_config(tmp_path, {**TRAIN, "stall_seconds": 5})
    process, gate = ranks_at_step(config, 35, launch=TWO_RANKS[launcher])
    stopped = rank_process(config, 1)
    os.kill(stopped, signal.SIGSTOP)
    gate.open()
    began = time.monotonic()
    try:
        while "rank 1" not in (line := process.stdout.readline()):
            assert line
            assert time.monotonic() - began < 60
    finally:
        os.kill(stopped, signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert "is stopped" in line
    assert process.returncode != 0, out


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """A discovery script that prints what a file says. Each host has one slot: Horovod gives up a failed host whole."""
    (tmp_path / "hosts").write_text("localhost:1\n127.0.0.1:1\n")
    script = tmp_path / "discover.sh"
    script.write_text(f"#!/bin/sh\ncat {tmp_path / 'hosts'}\n")
    script.chmod(0o755)
    return script


def test_elastic_ranks_survive_the_death_of_one(small: Small, tmp_path: Path, hosts: Path) -> None:
    config = small.training_config(tmp_path, {**TRAIN, "epochs": 3})
    process, gate = ranks_at_step(config, 35, launch=[*HERE, "-np", "2", "--host-discovery-script", str(hosts)])
    os.kill(rank_process(config, 1), signal.SIGKILL)
    gate.open()
    out = finish(process)
    assert "a rank is gone; the others continue from the last checkpoint" in out, out
    epochs = read_bundle(load_settings(config).run.bundle).metrics["epochs"]
    rows = small.dataset.manifest.splits["train"].rows
    assert [epoch["rows"] for epoch in epochs] == [rows] * 3, "every row once an epoch"
    assert [len(epoch["resident_mib"]) for epoch in epochs] == [1, 1, 1], "the first epoch ended with one rank"


def test_elastic_ranks_let_in_another(small: Small, tmp_path: Path, hosts: Path) -> None:
    config = small.training_config(tmp_path, {**TRAIN, "epochs": 3})
    (tmp_path / "hosts").write_text("localhost:1\n")
    alone = [*HERE, "-np", "1", "--host-discovery-script", str(hosts)]
    process, gate = ranks_at_step(config, 35, 1, launch=alone)
    (tmp_path / "hosts").write_text("localhost:1\n127.0.0.1:1\n")
    gate.wait_until_told(process)
    gate.open()
    finish(process)
    epochs = read_bundle(load_settings(config).run.bundle).metrics["epochs"]
    assert [epoch["rows"] for epoch in epochs] == [small.dataset.manifest.splits["train"].rows] * 3
    assert [len(epoch["resident_mib"]) for epoch in epochs] == [2, 2, 2], "the first epoch ended with both"


def test_torchrun_restarts_the_ranks_from_the_last_checkpoint(small: Small, tmp_path: Path) -> None:
    config = small.training_config(tmp_path, {**TRAIN, "epochs": 3})
    launch = [*TORCHRUN, "2", "--max-restarts", "1"]
    process, gate = ranks_at_step(config, 35, launch=launch)
    os.kill(rank_process(config, 1), signal.SIGKILL)
    gate.open()
    out = finish(process)
    assert "continues in epoch 1 after step 30" in out, out
    epochs = read_bundle(load_settings(config).run.bundle).metrics["epochs"]
    rows = small.dataset.manifest.splits["train"].rows
    assert [epoch["rows"] for epoch in epochs] == [rows] * 3, "every row once an epoch"
