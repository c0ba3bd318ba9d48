"""The report of an evaluation says what the evaluation found, shows values of logs as text, and needs nothing else."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.report import report as report_module
from pipelines.evaluation.report.sample import sample_of
from tests.support.config import write_minimal_config
from tests.support.jobs import RunJob
from tests.support.pages import Page
from tests.support.small import Small

HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror='1'>", "a\u202eb", "$x_1$ & {{ 7 * 7 }}", "plain"]


def report(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def run(small: Small, tmp_path: Path) -> Path:
    """A run of its own, with the bundles of the small data set."""
    folder = tmp_path / "run"
    shutil.copytree(small.settings.run.path, folder, symlinks=True)
    return folder


def evaluate(run_job: RunJob, small: Small, run: Path) -> Page:
    outcome = run_job("evaluate", small.config, "--set", f"run.path={run}")
    assert outcome.code == 0, outcome.err
    assert f"wrote {run / 'report.html'}" in outcome.out
    return Page(report(run))


def test_it_says_what_the_evaluation_found(run_job: RunJob, small: Small, run: Path) -> None:
    page = evaluate(run_job, small, run)
    found = json.loads((run / "evaluation.json").read_text())
    headline = {row[0]: row[1:] for row in page.tables["Metrics on the test split"]}
    assert headline["metric"] == ["fm", "afm", "popularity"]
    for title, key in {"RMSE": "rmse", "AUC": "auc", "AUC by user": "list_auc", "NDCG@5 by user": "ndcg_at_5"}.items():
        assert headline[title][:2] == [f"{found['metrics'][name][key]:.4f}" for name in ("fm", "afm")]
    pair = found["attention"][0]
    row = page.tables["Most attended pairs of fields"][1]
    assert row[:2] == [" x ".join(pair["fields"]), f"{pair['mean_weight']:.4f}"]
    epochs = (run / "history.jsonl").read_text().splitlines()
    assert len(page.tables["RMSE by epoch"]) == 1 + len(epochs)
    assert page.loads == []
    shown = [rows[1:] for caption, rows in page.tables.items() if caption.startswith("Score ")]
    for rows in shown:
        weights = [float(row[1]) for row in rows]
        assert weights == sorted(weights, reverse=True)
        assert 0 < sum(weights) <= 1.0001
    assert shown


def test_the_same_evaluation_writes_the_same_report(run_job: RunJob, small: Small, run: Path) -> None:
    evaluate(run_job, small, run)
    before = report(run)
    evaluate(run_job, small, run)
    assert report(run) == before


def test_the_figures_are_of_the_bundles_that_were_evaluated(
    run_job: RunJob, small: Small, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although others are published between the two."""
    evaluate(run_job, small, run)
    before, measure = report(run), report_module.evaluate

    def and_publish(*opened: Any) -> Any:
        found = measure(*opened)
        (run / "bundle").unlink()
        (run / "bundle").symlink_to((run / "bundle_warm_start").readlink())
        return found

    monkeypatch.setattr(report_module, "evaluate", and_publish)
    evaluate(run_job, small, run)
    assert report(run) == before


@pytest.mark.parametrize(("task", "measure"), [("classification", "log loss"), ("ranking", "AUC")])
def test_values_of_logs_are_text_and_the_field_that_decides_is_the_most_important(
    run_job: RunJob, tmp_path: Path, task: str, measure: str
) -> None:
    random = np.random.default_rng(1)
    user, noise = random.integers(0, 5, 3000), random.integers(0, 7, 3000)
    label = (random.random(3000) < np.array([0.1, 0.9, 0.2, 0.8, 0.5])[user]).astype(int)
    logs = pd.DataFrame({"user": [HOSTILE[number] for number in user], "noise": noise, "clicked": label})
    logs.to_parquet(tmp_path / "logs.parquet")
    sections = {
        "logs": {"path": str(tmp_path / "logs.parquet"), "format": "parquet"},
        "label": {"column": "clicked"},
        "negatives": {"per_positive": 0, "never_seen_by": "nothing"},
        "evaluate": {"group_by": "user"},
        "model": {"name": "fm", "embedding_dim": 4},
        "train": {"task": "classification", "epochs": 2, "warm_start": None},
    }
    if task == "ranking":  # of drawn negatives
        logs[logs["clicked"] == 1].to_parquet(tmp_path / "logs.parquet")
        sections |= {"label": {}, "negatives": {"replace": "user", "never_seen_by": "nothing"}, "evaluate": {}}
        sections |= {"split": {"by": "positive"}, "train": {"task": "ranking", "epochs": 2, "warm_start": None}}
    config = write_minimal_config(tmp_path, tmp_path / "logs.parquet", ["user", "noise"], **sections)
    for job in ("prepare", "train", "evaluate"):
        outcome = run_job(job, config)
        assert outcome.code == 0, outcome.err
    text = report(tmp_path / "run")
    page = Page(text)
    assert page.loads == []
    assert "\u202e" not in text
    importance = page.tables[next(name for name in page.tables if name.startswith("Permutation importance"))]
    assert measure in importance[0][1]
    assert [row[0] for row in importance[1:]] == ["user", "noise"]
    assert float(importance[1][1]) > 0.05 > abs(float(importance[2][1]))
    fields = " ".join(row[-1] for row in page.tables["Fields"])
    assert "<script>alert(1)</script>" in fields
    assert re.search(r"a\\u202eb", fields)
    if task == "classification":
        by_value = {row[0]: row[1:] for row in page.tables["user"]}
        assert set(by_value) == {"value", *HOSTILE[:2], "a\\u202eb", *HOSTILE[3:]}
        assert 0.8 < float(by_value[HOSTILE[1]][1]) < 1.0
        assert "Calibration in ten bins" in page.tables


def test_a_large_split_is_sampled_by_the_keys_of_its_rows(small: Small) -> None:
    rows = small.dataset.manifest.splits["test"].rows
    whole, part = sample_of(small.dataset, "test"), sample_of(small.dataset, "test", rows // 3)
    assert whole.n_rows == rows
    assert 0.7 * rows / 3 < part.n_rows < 1.3 * rows / 3
    assert set(part.row_key.tolist()) < set(whole.row_key.tolist())


def test_permuted_columns_keep_their_values_and_the_others_their_rows(small: Small) -> None:
    sample = sample_of(small.dataset, "test")
    permuted = sample.permuted([0], 1)
    assert permuted.ids[:, 1:].equal(sample.batch.ids[:, 1:])
    assert not permuted.ids[:, 0].equal(sample.batch.ids[:, 0])
    assert permuted.ids[:, 0].sort().values.equal(sample.batch.ids[:, 0].sort().values)
    assert not permuted.ids[:, 0].equal(sample.permuted([0], 2).ids[:, 0])
