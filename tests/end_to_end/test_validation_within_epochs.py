"""A training that is best before an epoch is over keeps the weights of that step."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from tests.support.jobs import run_main
from tests.support.processes import finish, start_job
from tests.support.ranks import needs_horovod, start_ranks
from tests.support.small import Small
from tests.support.training_gate import Gate

TRAIN = {
    "warm_start": None,
    "batch_size": 16,
    "epochs": 1,
    "checkpoint_steps": 7,
    "optimizer": "adam",
    "learning_rate": 0.1,
    "validate_steps": 10,
}
"""At this rate a model is best in the middle of its first epoch."""


def config_for(folder: Path, small: Small, **train: object) -> Path:
    return small.training_config(folder, {**TRAIN, **train})


def epochs(config: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in load_settings(config).run.history.read_text().splitlines()]


def best_step(config: Path) -> int:
    """The step of the epoch after which it was best."""
    (epoch,) = epochs(config)
    assert epoch["valid_step"] is not None, "nothing within the epoch was better than its end"
    return int(epoch["valid_step"])


def weights(config: Path) -> dict[str, torch.Tensor]:
    return read_bundle(load_settings(config).run.bundle).model.state_dict()


@pytest.fixture(scope="module")
def straight(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_for(tmp_path_factory.mktemp("straight"), small)
    run_main("train", config)
    return config


def test_validations_within_an_epoch_change_nothing_in_the_training(
    small: Small, straight: Path, tmp_path: Path
) -> None:
    at_ends = config_for(tmp_path, small, validate_steps=None)
    run_main("train", at_ends)
    for within, at_end in zip(epochs(straight), epochs(at_ends), strict=True):
        assert within["train"] == at_end["train"]
        assert within["valid"] <= at_end["valid"]
        assert (within["valid_step"] is None) == (within["valid"] == at_end["valid"])


def test_the_weights_of_the_best_step_are_kept(small: Small, straight: Path, tmp_path: Path) -> None:
    """They are those of a training that is stopped there."""
    step = best_step(straight)
    assert step % TRAIN["validate_steps"] == 0
    gate = Gate(tmp_path / "gate", "afm", step)
    stopped = config_for(tmp_path, small, validate_steps=None)
    process = start_job("train", stopped, fault=gate.fault)
    gate.wait(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    checkpoint = load_file(load_settings(stopped).run.checkpoints / "afm" / f"step-{step:09d}" / "state.safetensors")
    for name, weight in weights(straight).items():
        assert torch.equal(weight, checkpoint[f"model.{name}"]), name


def test_a_training_killed_after_its_best_step_goes_on_with_it(small: Small, straight: Path, tmp_path: Path) -> None:
    killed = config_for(tmp_path, small)
    gate = Gate(tmp_path / "gate", "afm", best_step(straight) + 8)  # there is a checkpoint between the two
    process = start_job("train", killed, fault=gate.fault)
    gate.wait(process)
    process.kill()
    process.wait()
    run_main("train", killed, "--resume", "auto")
    for name, weight in weights(straight).items():
        assert torch.equal(weight, weights(killed)[name]), name
    assert [epoch["valid_step"] for epoch in epochs(killed)] == [epoch["valid_step"] for epoch in epochs(straight)]


@needs_horovod
def test_two_ranks_keep_the_same_step(small: Small, tmp_path: Path) -> None:
    config = config_for(tmp_path, small)
    finish(start_ranks(config))  # which compares the weights of the ranks
    found = read_bundle(load_settings(config).run.bundle)
    assert best_step(config) % TRAIN["validate_steps"] == 0
    assert found.metrics["valid"] == min(epoch["valid"] for epoch in epochs(config))
