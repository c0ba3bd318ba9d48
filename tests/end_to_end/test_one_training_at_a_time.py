"""Two trainings of one run: the second ends in one line, and a first one that was replaced publishes nothing."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from afm_core.storage.locks import LOCK
from afm_core.storage.object_store import read_object
from afm_core.storage.paths import to_path
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.processes import finish, start_job
from tests.support.publishable_stores import PUBLISHABLE, publishable_folder
from tests.support.ranks import kill_all, needs_horovod, start_ranks
from tests.support.small import Small
from tests.support.training_gate import Gate

TRAIN = {"warm_start": None, "batch_size": 32, "epochs": 1, "checkpoint_steps": 10}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate", "afm", 35)


def waiting_training(config: Path, gate: Gate) -> subprocess.Popen[str]:
    process = start_job("train", config, fault=gate.fault)
    gate.wait(process)
    return process


def error_lines(printed: str) -> list[str]:
    return [line.partition("error: ")[2] for line in printed.splitlines() if "error: " in line]


@pytest.mark.parametrize("resume", [(), ("--resume", "auto")])
def test_the_second_training_of_a_run_ends_in_one_line_and_touches_nothing(
    small: Small, tmp_path: Path, run_job: RunJob, gate: Gate, resume: tuple[str, ...]
) -> None:
    config = small.training_config(tmp_path, TRAIN)
    run = load_settings(config).run
    first = waiting_training(config, gate)
    before = snapshot(run.path)
    second = run_job("train", config, *resume)
    assert second.code == 75
    (line,) = second.errors
    assert f"{run.path / LOCK}: held by process {first.pid} on " in line
    assert snapshot(run.path) == before
    gate.open()
    finish(first)
    assert read_bundle(run.bundle).fingerprint


@needs_horovod
def test_all_ranks_of_the_second_training_stop_together(small: Small, tmp_path: Path, gate: Gate) -> None:
    config = small.training_config(tmp_path, TRAIN)
    run = load_settings(config).run
    first = waiting_training(config, gate)
    before = snapshot(run.path)
    second = start_ranks(config)
    try:
        printed, _ = second.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        kill_all(second, config)
        raise
    assert second.returncode != 0
    lines = error_lines(printed)
    assert lines, printed
    assert all(f"{run.path / LOCK}: held by process {first.pid} on " in line for line in lines), lines
    assert "Exit code: 75" in printed
    assert snapshot(run.path) == before
    gate.open()
    finish(first)


def test_a_training_that_lost_its_lock_publishes_nothing(
    small: Small, tmp_path: Path, run_job: RunJob, gate: Gate
) -> None:
    config = small.training_config(tmp_path, TRAIN)
    run = load_settings(config).run
    first = waiting_training(config, gate)
    (run.path / LOCK).unlink()
    assert run_job("train", config, "--set", "seed=3").code == 0
    published, checkpoints = read_bundle(run.bundle).fingerprint, snapshot(run.checkpoints)
    gate.open()
    (line,) = error_lines(finish(first, 75))
    assert f"{run.path / LOCK}: was removed or replaced" in line
    assert read_bundle(run.bundle).fingerprint == published
    assert snapshot(run.checkpoints) == checkpoints


def test_a_link_planted_as_the_lock_is_named(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    config = small.training_config(tmp_path, TRAIN)
    run = load_settings(config).run
    run.path.mkdir()
    (tmp_path / "victim").write_text("precious")
    for name in (LOCK, run.history.name):
        (run.path / name).symlink_to(tmp_path / "victim")
        outcome = run_job("train", config)
        assert outcome.code == 2
        (line,) = outcome.errors
        assert f"{run.path / name}: is a symbolic link to {tmp_path / 'victim'}" in line
        (run.path / name).unlink()
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("kind", PUBLISHABLE)
def test_a_run_at_a_url_is_taken_over_by_resuming_and_its_old_owner_publishes_nothing(
    kind: str,
    request: pytest.FixtureRequest,
    small: Small,
    tmp_path: Path,
    run_job: RunJob,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with publishable_folder(request, kind) as root:
        run, owner = f"{root}/shop", f"{root}/shop/training.json"
        config = small.training_config(tmp_path, TRAIN, run={"path": run})
        for machine in ("first", "second"):
            (tmp_path / machine).mkdir()
        monkeypatch.chdir(tmp_path / "first")
        first = waiting_training(config, gate)
        monkeypatch.chdir(tmp_path / "second")
        refused = run_job("train", config)
        assert refused.code == 75
        (line,) = refused.errors
        assert f"{owner}: held by process {first.pid} on " in line
        assert "if it was killed, continue it with --resume auto" in line
        resumed = run_job("train", config, "--resume", "auto")
        assert resumed.code == 0, resumed.err
        assert "continues in epoch 1 after step 30" in " ".join((resumed.out + resumed.err).split())
        ended = read_object(owner)
        assert ended
        assert ended.content == b"{}", "it was given back"
        published = read_bundle(to_path(f"{run}/bundle")).fingerprint
        gate.open()
        (line,) = error_lines(finish(first, 75))
        assert f"{owner}: another run has taken over" in line
        assert read_bundle(to_path(f"{run}/bundle")).fingerprint == published
        assert run_job("train", config).code == 0, "nobody holds it any more"


@pytest.mark.parametrize("kind", PUBLISHABLE)
def test_a_killed_training_at_a_url_is_named_until_somebody_takes_over(
    kind: str,
    request: pytest.FixtureRequest,
    small: Small,
    tmp_path: Path,
    run_job: RunJob,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with publishable_folder(request, kind) as root:
        config = small.training_config(tmp_path, TRAIN, run={"path": f"{root}/shop"})
        first = waiting_training(config, gate)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        refused = run_job("train", config)
        assert refused.code == 75
        assert f"training.json: held by process {first.pid} on " in refused.errors[0]
        assert run_job("train", config, "--resume", "auto").code == 0
