"""Classification, ranking and warm starts on a dataset that keeps positives and their negatives together."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pyspark.sql import SparkSession

from afm_core.bundle import read_bundle
from afm_core.errors import SettingsError
from afm_core.settings import load_settings
from pipelines.dataset import Dataset
from pipelines.evaluation.predictions import score_split
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from tests.support.config import NIGHT, write_config
from tests.support.jobs import RunJob, run_main
from tests.support.small import Small

BY_POSITIVE = {"train": 0.7, "valid": 0.2, "test": 0.1, "by": "positive"}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, logs: Path, shared_spark: SparkSession) -> Path:
    """A dataset split by positive."""
    folder = tmp_path_factory.mktemp("together")
    config = write_config(folder, logs, split=BY_POSITIVE)
    run_main("prepare", config)
    return load_settings(config).dataset.path


def config_for(folder: Path, small: Small, together: Path, **train: object) -> Path:
    dataset = {"path": str(together), "rows_per_file": 256}
    settings = {"warm_start": None, "batch_size": 64, "epochs": 4, **train}
    return write_config(folder, small.settings.logs.path, split=BY_POSITIVE, dataset=dataset, train=settings)


def groups(labels: np.ndarray) -> list[int]:
    """Sizes of the runs that begin with a positive."""
    starts = np.flatnonzero(labels > 0)
    return np.diff(np.append(starts, len(labels))).tolist()


def test_a_positive_stands_before_its_negatives_and_stays_there_in_every_epoch(together: Path) -> None:
    dataset = Dataset.open(together)
    stored = pq.read_table(together / "train")
    labels = stored["label"].to_numpy()
    assert max(groups(labels)) == 3
    assert np.mean(np.array(groups(labels)) == 3) > 0.95
    users = stored["user"].to_numpy()
    group = np.cumsum(labels > 0)
    assert all(len(set(users[group == number])) == 1 for number in np.unique(group))
    manifest = dataset.manifest
    plan = ShardPlan(manifest.splits["train"].rows, manifest.rows_per_file, 64, 0, 1)
    orders = []
    for epoch in (1, 2):
        batches = list(Feed(dataset, "train", plan, 1, with_row_keys=True, group_positives=True).epoch(epoch))
        label = np.concatenate([batch.label.numpy() for batch in batches])
        user = np.concatenate([batch.encoded.ids[:, 0].numpy() for batch in batches])
        number = np.cumsum(label > 0)
        torn = sum(len(set(user[number == at])) > 1 for at in np.unique(number))
        assert torn <= 2 * manifest.splits["train"].files, "only a file's end may cut negatives from their positive"
        orders.append([key for batch in batches for key in batch.row_key.tolist()])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(stored["row_key"].to_pylist())


def test_classification_gives_calibrated_probabilities(
    small: Small, together: Path, tmp_path: Path, run_job: RunJob
) -> None:
    config = config_for(tmp_path, small, together, task="classification")
    trained = run_job("train", config)
    assert trained.code == 0, trained.err
    assert "valid log loss" in trained.out
    bundle, dataset = read_bundle(tmp_path / "run" / "bundle"), Dataset.open(together)
    assert float(bundle.calibrated_model.slope) != 1.0
    valid = score_split(bundle.scorer, dataset, "valid")
    assert (valid.score >= 0).all()
    assert (valid.score <= 1).all()
    assert valid.score.mean() == pytest.approx((valid.label > 0).mean(), abs=0.005), "on the rows it was fitted on"
    outcome = run_job("evaluate", config)
    assert outcome.code == 0, outcome.err
    metrics = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]["afm"]
    assert 0.5 < metrics["auc"] <= 1.0
    assert 0.7 < metrics["calibration_ratio"] < 1.4
    assert metrics["normalised_entropy"] < 1.0
    assert {"hit_rate_at_5", "ndcg_at_10", "list_auc", "average_precision"} < set(metrics)
    assert "NDCG@10 by user" in outcome.out
    assert run_job("score", config, "--date", NIGHT).code == 0
    scores = pq.read_table(tmp_path / "scores" / f"dt={NIGHT}")["score"].to_numpy()
    assert 0 <= scores.min() < scores.max() <= 1


def test_ranking_puts_positives_above_their_negatives(
    small: Small, together: Path, tmp_path: Path, run_job: RunJob
) -> None:
    config = config_for(tmp_path, small, together, task="ranking", epochs=6)
    trained = run_job("train", config)
    assert trained.code == 0, trained.err
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert history[0]["metric"] == "pair log loss"
    assert min(line["valid"] for line in history) < 0.68 < np.log(2)
    assert run_job("evaluate", config).code == 0
    metrics = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]["afm"]
    assert metrics["list_auc"] > 0.6
    assert not {"rmse", "log_loss"} & set(metrics), "a score for order is neither a label nor a probability"


def test_ranking_on_another_split_is_refused(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    train = {"warm_start": None, "task": "ranking"}
    with pytest.raises(SettingsError, match=r"ranking needs split\.by: positive, found random"):
        load_settings(write_config(tmp_path, small.settings.logs.path, train=train))
    config = config_for(tmp_path, small, small.settings.dataset.path, task="ranking")
    assert run_job("train", config).errors == [
        f"error: {small.settings.dataset.path}: split by random, but ranking needs each positive in the split "
        "of its negatives; prepare again with split.by: positive"
    ]


def test_a_sum_start_from_a_bundle_begins_where_its_fm_ended(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    """With a learning rate of next to nothing, the first epoch's validation is that of the FM."""
    fm = small.settings.run.warm_start_bundle
    warm = {"bundle": str(fm), "start": "sum"}
    train = {"warm_start": warm, "learning_rate": 1e-12, "optimizer": "sgd", "epochs": 1}
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    config = write_config(tmp_path, small.settings.logs.path, dataset=dataset, train=train)
    trained = run_job("train", config)
    assert trained.code == 0, trained.err
    ours, theirs = read_bundle(tmp_path / "run" / "bundle"), read_bundle(fm)
    assert ours.metrics["valid"] == pytest.approx(theirs.metrics["valid"], abs=1e-4)


def test_a_frozen_start_stays_as_it_was(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    fm = small.settings.run.warm_start_bundle
    train = {"warm_start": {"bundle": str(fm), "freeze": True}, "epochs": 1}
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    config = write_config(tmp_path, small.settings.logs.path, dataset=dataset, train=train)
    assert run_job("train", config).code == 0
    ours, theirs = read_bundle(tmp_path / "run" / "bundle").model, read_bundle(fm).model
    assert all(torch.equal(a, b) for a, b in zip(ours.factors.parameters(), theirs.factors.parameters(), strict=True))
    assert not torch.equal(ours.p, torch.ones_like(ours.p))


@pytest.mark.parametrize("name", ["nfm", "wide_deep", "hofm"])
def test_models_that_afm_is_compared_with_start_from_the_fm_too(
    name: str, small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    fm = small.settings.run.warm_start_bundle
    train = {"warm_start": {"bundle": str(fm)}, "learning_rate": 1e-12, "optimizer": "sgd", "epochs": 1}
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    model = {"name": name, "embedding_dim": 8, "layers": [4]}
    config = write_config(tmp_path, small.settings.logs.path, dataset=dataset, train=train, model=model)
    assert run_job("train", config).code == 0
    ours, theirs = read_bundle(tmp_path / "run" / "bundle").model, read_bundle(fm).model
    assert torch.allclose(ours.factors.embedding.weight, theirs.factors.embedding.weight)
    assert torch.allclose(ours.factors.linear.weight, theirs.factors.linear.weight)


def test_a_start_that_does_not_fit_is_one_line(small: Small, together: Path, tmp_path: Path, run_job: RunJob) -> None:
    fm = small.settings.run.warm_start_bundle
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    train = {"warm_start": {"bundle": str(fm)}, "epochs": 1}
    model = {"embedding_dim": 16}
    wider = write_config(tmp_path / "wider", small.settings.logs.path, dataset=dataset, train=train, model=model)
    (line,) = run_job("train", wider).errors
    assert "embeddings of length 8, model.embedding_dim is 16" in line


def test_an_average_of_the_weights_is_what_is_kept(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    outcomes = {}
    for name, average in (("plain", 0.0), ("averaged", 0.9), ("late", 0.99999)):
        train = {"warm_start": None, "epochs": 1, "ema_decay": average, "schedule": "linear", "embedding_l2": 1e-6}
        config = write_config(tmp_path / name, small.settings.logs.path, dataset=dataset, train=train)
        assert run_job("train", config).code == 0
        outcomes[name] = read_bundle(tmp_path / name / "run" / "bundle").model.p.detach()
    distance = {name: float((p - 1).abs().max()) for name, p in outcomes.items()}
    assert 0 < distance["late"] < distance["averaged"] != distance["plain"] > 0
