"""Labelled logs whose fields have none of the names that defaults mention, through every job that reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.support.config import write_minimal_config
from tests.support.jobs import RunJob

ROWS, NIGHT = 400, "2026-01-15"
NUMBERS = [{"name": "price", "kind": "numeric"}, {"name": "age", "kind": "numeric", "scale": "log1p"}]
CASES: dict[str, dict[str, Any]] = {
    "clicks": {"fields": ["site", "banner"], "label": {"column": "click"}, "train": {"task": "classification"}},
    "ratings as numbers": {"fields": ["site", "banner"], "label": {"column": "stars", "range": [1, 5]}},
    "ratings from four on": {"fields": ["site", "banner", *NUMBERS], "label": {"column": "stars", "at_least": 4}},
    "numbers alone": {"fields": NUMBERS, "label": {"column": "click"}},
    "words, split by time": {
        "fields": ["site", {"name": "hour", "kind": "time", "of": "ts", "part": "hour"}],
        "label": {"column": "action", "positive": ["buy"]},
        "split": {"by": "time", "time": "ts"},
    },
}


def write_logs(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True)
    stars = random.integers(1, 6, ROWS)
    pd.DataFrame(
        {
            "site": random.integers(0, 9, ROWS),
            "banner": random.integers(0, 20, ROWS),
            "price": random.random(ROWS).round(3),
            "age": random.integers(1, 90, ROWS),
            "ts": 1_767_225_600 + random.integers(0, 10 * 86_400, ROWS),
            "stars": stars,
            "click": (stars > 3).astype(int),
            "action": np.where(stars > 3, "buy", "view"),
        }
    ).to_csv(path, index=False)


@pytest.mark.parametrize("sections", CASES.values(), ids=CASES)
def test_no_default_of_what_is_switched_off_is_missed(
    run_job: RunJob, tmp_path: Path, sections: dict[str, Any]
) -> None:
    write_logs(tmp_path / "logs" / "all.csv", 1)
    write_logs(tmp_path / "nights" / f"dt={NIGHT}" / "a.csv", 2)
    train = {"epochs": 1, "batch_size": 64, **sections.get("train", {})}
    score = {"logs": str(tmp_path / "nights"), "path": str(tmp_path / "scores")}
    model = {"name": "afm", "embedding_dim": 4, "attention_dim": 4}
    tree = {**sections, "train": train, "score": score, "model": model, "compare": {"fm": {"model": {"name": "fm"}}}}
    config = write_minimal_config(tmp_path, tmp_path / "logs", **tree)
    for job, *arguments in (("prepare",), ("train",), ("evaluate",), ("compare",), ("score", "--date", NIGHT)):
        outcome = run_job(job, config, *arguments)
        assert outcome.code == 0, (job, outcome.err)
    assert pq.read_table(tmp_path / "scores" / f"dt={NIGHT}").num_rows == ROWS
    outcome = run_job("recommend", config, "--date", NIGHT, "--k", "3")
    assert outcome.code == 2
    assert len(outcome.errors) == 1, outcome.err
