"""Options that change how a batch is computed: micro-batches, scaled learning rates, compressed gradients."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from tests.support.jobs import run_main
from tests.support.processes import finish
from tests.support.ranks import needs_horovod, start_ranks
from tests.support.small import Small

TRAIN = {"warm_start": None, "epochs": 1, "batch_size": 64, "learning_rate": 0.05, "optimizer": "sgd"}
"""Steps in proportion to the gradients. Adagrad's first step depends on their signs, however small they are."""


def weights(config: Path) -> dict[str, Tensor]:
    return read_bundle(load_settings(config).run.bundle).model.state_dict()


def trained_on_two_ranks(small: Small, folder: Path, **train: object) -> dict[str, Tensor]:
    config = small.training_config(folder, {**TRAIN, **train})
    finish(start_ranks(config))
    return weights(config)


@pytest.fixture(scope="module")
def exact(small: Small, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """Weights after a training on two ranks without options."""
    return trained_on_two_ranks(small, tmp_path_factory.mktemp("exact"))


def largest_difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def test_micro_batches_give_the_gradients_of_the_whole_batch(small: Small, tmp_path: Path) -> None:
    model = {"name": "afm", "embedding_dim": 8, "attention_dim": 8, "attention_l2": 0.001}
    trained = []
    for micro_batches in (1, 3):
        folder = tmp_path / str(micro_batches)
        config = small.training_config(folder, {**TRAIN, "micro_batches": micro_batches}, model=model)
        run_main("train", config)
        trained.append(weights(config))
    difference = largest_difference(*trained)
    assert 0 < difference < 1e-4, "sums of other order differ in their rounding, and in nothing else"


@needs_horovod
def test_a_scaled_learning_rate_is_that_of_the_larger_batch(
    small: Small, tmp_path: Path, exact: dict[str, Tensor]
) -> None:
    scaled = trained_on_two_ranks(small, tmp_path, batch_size=32, learning_rate=0.025, scale_learning_rate=True)
    for name, weight in scaled.items():
        assert torch.equal(weight, exact[name]), name


@needs_horovod
def test_compressed_gradients_train_nearly_the_same_model(
    small: Small, tmp_path: Path, exact: dict[str, Tensor]
) -> None:
    compressed = trained_on_two_ranks(small, tmp_path, compress_gradients=True)
    assert largest_difference(compressed, exact) > 0, "nothing was compressed"
    for name, weight in compressed.items():
        assert torch.allclose(weight, exact[name], rtol=0.01, atol=0.001), name


@pytest.mark.parametrize("option", ["micro_batches=0", "scale_learning_rate=often"])
def test_impossible_values_are_refused(small: Small, option: str) -> None:
    with pytest.raises(SystemExit):
        run_main("train", small.config, "--dry-run", "--set", f"train.{option}")
