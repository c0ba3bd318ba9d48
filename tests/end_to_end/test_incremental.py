"""Going on from an earlier bundle on newer logs, with new users and apps."""

import json
from datetime import date
from pathlib import Path

import pyarrow.dataset as ds
import pytest
import torch
from pyspark.sql import SparkSession

from afm_core.bundle import read_bundle
from pipelines.simulation.simulate import Simulation, simulate
from tests.support.config import write_config
from tests.support.jobs import RunJob, run_main

DAYS, EPOCHS = 8, 9
FIELDS = ["user", "app", "daypart", "weekday", "place"]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory, shared_spark: SparkSession) -> Path:
    """Settings of eight days, with a bundle of the first seven in `before` and the dataset of all eight."""
    folder = tmp_path_factory.mktemp("week")
    simulate(Simulation(folder / "logs", date(2026, 1, 1), DAYS, 1200, users=300, apps=60, seed=5))
    logs = {"last_date": "2026-01-08"}
    train = {"warm_start": None, "epochs": EPOCHS, "patience": EPOCHS, "optimizer": "adam", "learning_rate": 0.01}
    config = write_config(folder, folder / "logs", logs=logs, fields=FIELDS, split={"by": "positive"}, train=train)
    seven = ["logs.last_date=2026-01-07", f"dataset.path={folder}/seven", f"run.path={folder}/before"]
    older = [part for text in seven for part in ("--set", text)]
    extend = ["--extend", f"{folder}/before/bundle/features.parquet"]
    for name, arguments in (("prepare", older), ("train", older), ("prepare", extend)):
        run_main(name, config, *arguments)
    return config


def keys(dataset: Path, split: str) -> set[int]:
    return set(ds.dataset(dataset / split).to_table(columns=["row_key"])["row_key"].to_pylist())


def test_a_third_of_the_epochs_is_enough(week: Path, run_job: RunJob) -> None:
    folder = week.parent
    assert not keys(folder / "seven", "train") & keys(folder / "dataset", "valid"), "nothing validated was trained on"
    scratch = run_job("train", week)
    assert scratch.code == 0, scratch.err
    third = ("--set", f"train.epochs={EPOCHS // 3}", "--set", f"run.path={folder}/after")
    outcome = run_job("train", week, "--from", f"{folder}/before/bundle", *third)
    assert outcome.code == 0, outcome.err
    ours, theirs = (read_bundle(folder / run / "bundle").metrics["valid"] for run in ("after", "run"))
    assert ours <= 1.01 * theirs
    first = json.loads((folder / "after" / "history.jsonl").read_text().splitlines()[0])["train"]
    assert first < json.loads((folder / "run" / "history.jsonl").read_text().splitlines()[0])["train"]


def test_old_ids_keep_their_vectors_and_the_optimiser_its_memory(week: Path, run_job: RunJob) -> None:
    """With a learning rate of nearly nothing, what was taken over is what comes out."""
    folder = week.parent
    still = [f"run.path={folder}/still", "train.epochs=1", "train.learning_rate=1e-12"]
    arguments = [part for text in still for part in ("--set", text)]
    outcome = run_job("train", week, "--from", f"{folder}/before/bundle", *arguments)
    assert outcome.code == 0, outcome.err
    before, after = (read_bundle(folder / run / "bundle") for run in ("before", "still"))
    old, new = (bundle.model.state_dict() for bundle in (before, after))
    n_old = before.feature_map.n_ids
    assert after.feature_map.n_ids > n_old, "there are new users on the eighth day"
    for name, weights in old.items():
        kept = new[name][:n_old] if weights.ndim and len(weights) == n_old else new[name]
        torch.testing.assert_close(kept, weights, rtol=0, atol=1e-6)
    steps = "factors.embedding.weight/step"
    assert after.read_optimizer()[steps] > before.read_optimizer()[steps] > 0


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model.embedding_dim=6", "W is (8, 8) in the bundle and (8, 6) in this training"),
        ("model.name=fm", "only one of the models has W, b, h, p"),
        ("train.optimizer=adagrad", "its optimiser has"),
    ],
)
def test_another_model_is_refused_by_name(week: Path, run_job: RunJob, override: str, reason: str) -> None:
    folder = week.parent
    out = ("--set", f"run.path={folder}/refused")
    outcome = run_job("train", week, "--from", f"{folder}/before/bundle", "--set", override, *out)
    assert outcome.code == 2
    assert reason in outcome.errors[0]


def test_a_dataset_that_does_not_keep_the_ids_is_refused(week: Path, run_job: RunJob) -> None:
    folder = week.parent
    out = ("--set", f"run.path={folder}/refused", "--set", f"dataset.path={folder}/seven")
    assert run_job("train", week, *out, "--set", "train.epochs=1").code == 0
    outcome = run_job("train", week, "--from", f"{folder}/run/bundle", *out)
    assert outcome.code == 2
    assert "prepare with --extend" in outcome.errors[0]
