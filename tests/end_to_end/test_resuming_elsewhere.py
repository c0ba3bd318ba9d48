"""Checkpoints of a run in a bucket or in HDFS: a training goes on on a machine that has nothing of it."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from afm_core.storage.object_store import objects_below, read_object, replace_object, write_object
from afm_core.storage.paths import to_path
from tests.support.jobs import RunJob
from tests.support.processes import start_job
from tests.support.publishable_stores import publishable_folder
from tests.support.small import Small
from tests.support.training_gate import Gate

TRAIN = {"warm_start": {"model": "fm", "epochs": 1}, "batch_size": 16, "epochs": 2, "checkpoint_steps": 7}
DONE = 31
"""Steps of the AFM that were done when the first machine is lost."""


@pytest.fixture(params=["bucket", pytest.param("hdfs", marks=[pytest.mark.cluster, pytest.mark.long])])
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    with publishable_folder(request, request.param) as folder:
        yield folder


@pytest.fixture
def interrupted(root: str, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a training whose machine is gone."""
    machine = tmp_path / "machine"
    machine.mkdir()
    monkeypatch.chdir(machine)
    config = small.training_config(tmp_path, TRAIN, run={"path": f"{root}/shop"})
    gate = Gate(tmp_path / "gate", "afm", DONE)
    process = start_job("train", config, fault=gate.fault)
    gate.wait(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_settings(config).run.checkpoints.is_dir()
    (tmp_path / "other-machine").mkdir()
    monkeypatch.chdir(tmp_path / "other-machine")
    shutil.rmtree(machine)
    return config


def checkpoints(root: str) -> list[str]:
    """Of the AFM, oldest first."""
    names = objects_below(f"{root}/shop/checkpoints/afm-versions")
    return [name for name in names if name.endswith("/state.json")]


def test_a_training_goes_on_elsewhere_bit_for_bit(
    root: str, interrupted: Path, small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    assert len(checkpoints(root)) == 2, "the last two are kept"
    again = run_job("train", interrupted, "--resume", "auto")
    assert again.code == 0, again.err
    assert f"afm  continues in epoch 1 after step {DONE // 7 * 7}" in " ".join((again.out + again.err).split("\n"))
    straight = small.training_config(tmp_path / "straight", TRAIN)
    assert run_job("train", straight).code == 0
    ours, theirs = read_bundle(to_path(f"{root}/shop/bundle")), read_bundle(load_settings(straight).run.bundle)
    assert (ours.path / "weights.safetensors").read_bytes() == (theirs.path / "weights.safetensors").read_bytes()
    history = load_settings(interrupted).run.history.read_text().splitlines()
    assert [json.loads(line)["model"] for line in history] == ["fm", "afm", "afm"]


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    root: str, interrupted: Path, run_job: RunJob
) -> None:
    damaged = checkpoints(root)[-1].removesuffix("/state.json")
    write_object(f"{root}/shop/checkpoints/afm-versions/{damaged}/state.safetensors", b"half")
    again = run_job("train", interrupted, "--resume", "auto")
    assert again.code == 0, again.err
    printed = "".join((again.out + again.err).split())
    assert f"{damaged}isdamaged" in printed
    assert f"continuesinepoch1afterstep{DONE // 7 * 7 - 7}" in printed


@pytest.mark.long
def test_a_training_from_the_start_removes_those_of_the_last_one(root: str, interrupted: Path, run_job: RunJob) -> None:
    left = checkpoints(root)
    replace_object(f"{root}/shop/training.json", b"{}", read_object(f"{root}/shop/training.json"))  # it is known dead
    again = run_job("train", interrupted)
    assert again.code == 0, again.err
    assert "continues" not in again.out + again.err
    assert not set(left) & set(checkpoints(root))


def test_other_settings_are_refused_by_name(interrupted: Path, run_job: RunJob) -> None:
    outcome = run_job("train", interrupted, "--resume", "auto", "--set", "train.learning_rate=0.5")
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "train.learning_rate was" in line
