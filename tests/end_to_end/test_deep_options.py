"""What deep models are trained with elsewhere: normalisation, plateaus of AUC, clipped gradients, L2 by look-up."""

import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from afm_core.bundle import Bundle, read_bundle
from afm_core.inference.scorer import Scorer
from afm_core.settings import load_settings
from tests.support.jobs import RunJob, run_main
from tests.support.processes import finish, start_job
from tests.support.ranks import TWO_RANKS, needs_horovod, start_ranks
from tests.support.small import Small
from tests.support.training_gate import Gate

RATE, EPOCHS = 0.02, 5
TRAIN = {
    **{"warm_start": None, "batch_size": 64, "epochs": EPOCHS, "patience": EPOCHS, "optimizer": "adam"},
    **{"learning_rate": RATE, "schedule": "plateau", "plateau_factor": 0.5, "monitor": "auc", "checkpoint_steps": 5},
    **{"embedding_l2": 0.01, "embedding_l2_counts": "lookups", "clip_norm": 0.5, "ema_decay": 0.5},
}
MODEL = {
    **{"name": "deepfm", "embedding_dim": 4, "layers": [8, 6], "deep_normalisation": "batch"},
    **{"deep_activation": "silu", "deep_dropout": [0.1, 0.2]},
}


def config_for(small: Small, folder: Path) -> Path:
    return small.training_config(folder, TRAIN, model=MODEL)


def bundle_of(config: Path) -> Bundle:
    return read_bundle(load_settings(config).run.bundle)


@pytest.fixture(scope="module")
def straight(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_for(small, tmp_path_factory.mktemp("straight"))
    run_main("train", config)
    return config


def pairs_in_order(score: np.ndarray, label: np.ndarray) -> float:
    """AUC by its definition."""
    above = score[label > 0][:, None] - score[label < 0][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def test_the_epoch_of_the_best_auc_is_kept(small: Small, straight: Path) -> None:
    bundle = bundle_of(straight)
    epochs = bundle.metrics["epochs"]
    best = max(epoch["auc"] for epoch in epochs)
    assert bundle.metrics["valid"] == 1.0 - best
    rows = pq.read_table(small.settings.dataset.path / "valid")
    feature_map = bundle.feature_map
    ids, x = (
        np.stack([rows[name].to_numpy() for name in names], axis=1) if names else np.empty((len(rows), 0), np.float32)
        for names in (feature_map.id_columns, feature_map.x_columns)
    )
    score = Scorer(bundle.calibrated_model, feature_map).columns(ids, x)
    label = rows["label"].to_numpy()
    assert pairs_in_order(score, label) == pytest.approx(best, abs=2e-3), "scores are clipped, outputs are not"


def test_the_rate_falls_after_epochs_that_are_no_better(straight: Path) -> None:
    rate, best = RATE, 0.0
    for epoch in bundle_of(straight).metrics["epochs"]:
        assert epoch["learning_rate"] == pytest.approx(rate)
        rate *= 1.0 if epoch["auc"] > best else 0.5
        best = max(best, epoch["auc"])


def test_a_killed_training_goes_on_bit_for_bit(small: Small, straight: Path, tmp_path: Path, run_job: RunJob) -> None:
    config = config_for(small, tmp_path)
    steps = bundle_of(straight).metrics["epochs"][0]["steps"]
    gate = Gate(tmp_path / "gate", "deepfm", (EPOCHS - 1) * steps + 8)
    process = start_job("train", config, fault=gate.fault)
    gate.wait(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = run_job("train", config, "--resume", "auto")
    assert f"continues in epoch {EPOCHS}" in again.out + again.err
    ours, theirs = (bundle_of(path) for path in (config, straight))
    for name, weights in theirs.model.state_dict().items():
        assert torch.equal(ours.model.state_dict()[name], weights), name
    for one, other in zip(ours.metrics["epochs"], theirs.metrics["epochs"], strict=True):
        assert (one["auc"], one["learning_rate"], one["train"]) == (
            other["auc"],
            other["learning_rate"],
            other["train"],
        )


@needs_horovod
@pytest.mark.parametrize("launcher", TWO_RANKS)
def test_two_ranks_have_the_same_statistics(small: Small, straight: Path, tmp_path: Path, launcher: str) -> None:
    """Or the training fails at its end. They are not those of one rank, which normalises all rows of a step at once."""
    config = config_for(small, tmp_path)
    finish(start_ranks(config, launch=TWO_RANKS[launcher]))
    ours, alone = bundle_of(config), bundle_of(straight)
    assert ours.metrics["valid"] == pytest.approx(alone.metrics["valid"], abs=0.05)
    for name, buffer in ours.model.named_buffers():
        if name.endswith("running_mean"):
            assert not torch.equal(buffer, alone.model.state_dict()[name])


def test_numbers_as_labels_have_no_auc(small: Small, run_job: RunJob) -> None:
    outcome = run_job(
        "train",
        small.config,
        "--dry-run",
        "--set",
        "train.monitor=auc",
        "--set",
        "label={column: place, range: [0, 1]}",
        "--set",
        "negatives.per_positive=0",
    )
    assert outcome.code == 2
    assert "train.monitor: auc needs positives and negatives" in outcome.err
