"""Trainings in MLflow, in a database of its own kind. Skipped where the extra `mlflow` is not installed."""

from pathlib import Path

import pytest

from tests.support.jobs import RunJob
from tests.support.ranks import TRAIN
from tests.support.small import Small

mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed; pip install .[mlflow]")


def test_every_model_is_a_run_with_its_epochs(
    small: Small, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    warm = {"model": "fm", "epochs": 1}
    outcome = run_job(
        "train", small.training_config(tmp_path, {**TRAIN, "warm_start": warm}), "--set", "run.mlflow=nights"
    )
    assert outcome.code == 0, outcome.err
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("nights").experiment_id])
    assert {run.info.run_name: run.info.status for run in runs} == {"fm": "FINISHED", "afm": "FINISHED"}
    (afm,) = [run for run in runs if run.info.run_name == "afm"]
    assert afm.data.params["train.epochs"] == "2"
    assert [point.step for point in client.get_metric_history(afm.info.run_id, "valid")] == [1, 2]


def test_a_server_that_is_away_is_one_line(
    small: Small, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:PLANTED@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    outcome = run_job("train", small.training_config(tmp_path, TRAIN), "--set", "run.mlflow=nights")
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert "MLflow at http://***@127.0.0.1:9 cannot be used" in outcome.errors[0]
    assert "PLANTED" not in outcome.out + outcome.err
