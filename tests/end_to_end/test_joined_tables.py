"""A table of items joined to the logs: negatives get what belongs to their own item, nights what belongs to theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from afm_core.errors import SettingsError
from afm_core.settings import load_settings
from pipelines.dataset import Dataset
from pipelines.recommendation.items import user_and_item
from tests.support.config import write_minimal_config
from tests.support.decoding import decoded
from tests.support.files import snapshot
from tests.support.jobs import RunJob

NIGHT = "2026-01-02"
FIELDS: list[Any] = [
    "user",
    {"name": "item", "min_count": 2},
    {"name": "year", "column": "title", "extract": r"\((\d{4})\)$"},
    {"name": "price", "kind": "numeric", "scale": "log1p"},
    {"name": "genres", "kind": "tags", "length": 2},
    {"name": "user_year", "kind": "crossed", "of": ["user", "year"], "buckets": 50},
]


def items() -> pd.DataFrame:
    """Of 30 items the table lacks some."""
    random, numbers = np.random.default_rng(7), np.arange(27)
    return pd.DataFrame(
        {
            "item": [f"i{at}" for at in numbers],
            "title": [f"Title {at} ({1990 + at % 5})" for at in numbers],
            "price": random.integers(1, 100, 27),
            "genres": ["|".join(sorted(random.choice(list("abcd"), at % 3, replace=False))) for at in numbers],
        }
    )


def events(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "event": [f"e{at}" for at in range(300)],
            "user": [f"u{at}" for at in random.integers(0, 20, 300)],
            "item": [f"i{at}" for at in np.minimum(random.geometric(0.08, 300), 29)],
            "clicked": random.integers(0, 2, 300),
        }
    )


def config(folder: Path, fields: list[Any] = FIELDS, *, is_joined: bool, **sections: Any) -> Path:
    for day, frame in ((NIGHT, events(2)), ("2026-01-01", events(1))):
        (folder / "logs" / f"dt={day}").mkdir(parents=True)
        whole = frame if is_joined else frame.merge(items(), on="item", how="left")
        whole.to_csv(folder / "logs" / f"dt={day}" / "a.csv", index=False, float_format="%.0f")
    items().to_csv(folder / "items.csv", index=False, sep=";")
    table = {"path": str(folder / "items.csv"), "separator": ";", "on": "item", "columns": ["title", "price", "genres"]}
    logs = {"path": str(folder / "logs"), "keys": ["event"], "last_date": "2026-01-01"}
    return write_minimal_config(
        folder,
        folder / "logs",
        fields,
        logs={**logs, "join": [table]} if is_joined else logs,
        model={"name": "afm", "embedding_dim": 4, "attention_dim": 4},
        train={"epochs": 1, "batch_size": 64},
        **sections,
    )


def test_a_negative_gets_what_belongs_to_its_own_item(run_job: RunJob, tmp_path: Path) -> None:
    settings = config(tmp_path, is_joined=True)
    assert run_job("prepare", settings).code == 0
    frame = decoded(tmp_path / "dataset")
    table = items().set_index("item")
    drawn = frame[frame["label"] < 0]
    assert len(drawn) == 600
    assert drawn["item"].nunique() > 15
    for row in frame[frame["item"].notna()].itertuples():
        own = table.loc[row.item] if row.item in table.index else None
        assert row.year == (None if own is None else own.title[-5:-1])
        genres = set() if own is None else set(filter(None, own.genres.split("|")))
        assert {row.genres_1, row.genres_2} - {None} == genres
        assert row.price_x == (1.0 if own is None else pytest.approx(np.log1p(own.price)))
    before = snapshot(tmp_path / "dataset")
    assert "up to date" in run_job("prepare", settings).out
    items().assign(price=5).to_csv(tmp_path / "items.csv", index=False, sep=";")
    assert run_job("prepare", settings).code == 0
    assert snapshot(tmp_path / "dataset") != before, "another table is another dataset"


def test_logs_with_a_joined_table_are_logs_with_its_columns(run_job: RunJob, tmp_path: Path) -> None:
    """Dataset, and the scores of a night, bit for bit."""
    label = {"label": {"column": "clicked"}}
    scores = {}
    for name in ("joined", "whole"):
        settings = config(tmp_path / name, is_joined=name == "joined", **label)
        for job, *arguments in (("prepare",), ("train",), ("score", "--date", NIGHT)):
            outcome = run_job(job, settings, *arguments)
            assert outcome.code == 0, outcome.err
        night = pq.ParquetDataset(tmp_path / name / "scores" / f"dt={NIGHT}").read().sort_by("event")
        scores[name] = night.select(["event", "score"])
    digests = {name: Dataset.open(tmp_path / name / "dataset").manifest.digest for name in scores}
    assert digests["joined"] == digests["whole"]
    assert scores["joined"].equals(scores["whole"])
    assert scores["joined"].num_rows == 300


def test_recommendations_refuse_what_belongs_to_the_item(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, FIELDS[:3], is_joined=True))
    with pytest.raises(SettingsError, match="exchange the id of item alone, but year are computed from item"):
        user_and_item(settings)
