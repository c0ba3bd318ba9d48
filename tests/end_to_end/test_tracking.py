"""Trainings in MLflow, in a database of its own kind. Skipped where the extra `mlflow` is not installed."""

from pathlib import Path

import pytest

from pipelines.training.mlflow_tracker import MlflowTracker
from pipelines.training.results import Epoch
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


def test_a_server_that_is_gone_between_two_models_ends_no_training_and_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, away = tmp_path / "mlruns", tmp_path / "away"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tracker = MlflowTracker("nights")
    tracker.training_started("fm", {"seed": 1})
    tracker.epoch_done(epoch("fm", 1))
    store.rename(away)
    store.touch()  # a file where the folder was: every call fails
    tracker.epoch_done(epoch("fm", 2))
    tracker.training_started("afm", {"seed": 1})
    tracker.epoch_done(epoch("afm", 1))
    store.unlink()
    away.rename(store)
    tracker.epoch_done(epoch("afm", 2))
    tracker.training_ended()
    assert capsys.readouterr().err.count("could not be logged to MLflow") == 3
    client = mlflow.MlflowClient(store.as_uri())
    runs = {
        run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name("nights").experiment_id])
    }
    history = client.get_metric_history(runs["afm"].info.run_id, "valid")
    assert [point.step for point in history] == [1, 2]
    assert runs["afm"].info.status == "FINISHED"
    assert runs["afm"].data.params == {"seed": "1"}


def epoch(model: str, number: int) -> Epoch:
    return Epoch(model, number, 10, 100, "RMSE", 0.5, 0.6, 1000.0, 0.1, 0.01, [100])
