"""Target rate fields, compared with a computation in pandas, in preparation, training and a night."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from afm_core.bundle import read_bundle
from afm_core.errors import SettingsError
from afm_core.features import FeatureMap
from afm_core.settings import load_settings
from pipelines.dataset import Dataset
from pipelines.evaluation.predictions import score_split
from tests.support.config import write_minimal_config
from tests.support.jobs import run_main

NIGHT, SMOOTHING = "2026-03-01", {"of_item": 20.0, "of_pair": 2.0}
FIELDS = [
    "user",
    {"name": "item", "column": "item.id", "min_count": 5},
    {"name": "of_item", "kind": "target_rate", "of": ["item"]},
    {"name": "of_pair", "kind": "target_rate", "of": ["user", "item"], "smoothing": 2, "scale": "buckets"},
]


@dataclass
class Clicks:
    config: Path
    rows: pd.DataFrame
    feature_map: FeatureMap

    @property
    def folder(self) -> Path:
        return self.config.parent

    def unknown(self, field: str) -> "pd.Series[bool]":
        return self.rows[field] == self.feature_map[field].unknown_id


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory, shared_spark: SparkSession) -> Clicks:
    folder, random = tmp_path_factory.mktemp("clicks"), np.random.default_rng(3)
    item = np.minimum(random.geometric(0.1, 1500), 40)
    logs = pd.DataFrame(
        {
            "event.id": range(1500),
            "user": [f"u{number}" for number in random.integers(0, 8, 1500)],
            "item.id": [f"i{number}" for number in item],
            "clicked": (random.random(1500) < np.where(item % 3 == 0, 0.5, 0.1)).astype(int),
        }
    )
    night = folder / "logs" / f"dt={NIGHT}"
    night.mkdir(parents=True)
    logs.to_csv(night / "logs.csv", index=False)
    config = write_minimal_config(
        folder,
        folder / "logs",
        fields=FIELDS,
        logs={"path": str(folder / "logs"), "keys": ["event.id"]},
        label={"column": "clicked"},
        model={"name": "afm", "embedding_dim": 4, "attention_dim": 4},
        train={"task": "classification", "batch_size": 50, "epochs": 2, "warm_start": None},
    )
    run_main("prepare", config)
    dataset = Dataset.open(folder / "dataset")
    parts = [dataset.path / split for split in ("train", "valid", "test")]
    rows = pd.concat([pq.read_table(part).to_pandas().assign(split=part.name) for part in parts], ignore_index=True)
    keys = shared_spark.createDataFrame(rows[["row_key"]])
    fold = F.pmod(F.xxhash64(F.lit(load_settings(config).seed), F.lit("fold"), "row_key"), F.lit(10))
    rows["fold"] = rows["row_key"].map(keys.withColumn("fold", fold).toPandas().set_index("row_key")["fold"])
    return Clicks(config, rows, dataset.feature_map)


def log_odds(rate: float) -> float:
    return float(np.log(rate / (1 - rate)))


def expected(rows: pd.DataFrame, of: list[str], smoothing: float) -> list[float]:
    """Log odds of the instances of the training split with the same values, except those of the row's own fold."""
    train = rows[rows["split"] == "train"]
    values = []
    for _, row in rows.iterrows():
        counted = train[train["fold"] != row["fold"]] if row["split"] == "train" else train
        prior = ((counted["label"] > 0).sum() + 0.5) / (len(counted) + 1)
        same = counted[(counted[of] == row[of]).all(axis=1)]
        rate = ((same["label"] > 0).sum() + smoothing * prior) / (len(same) + smoothing)
        values.append(log_odds(rate) - log_odds(prior) if len(same) else 0.0)
    return values


def test_rates_are_those_of_the_other_folds(clicks: Clicks) -> None:
    rows, unknown = clicks.rows, clicks.unknown("item")
    assert 0 < unknown.mean() < 0.5
    assert rows["fold"].nunique() == 10
    assert (clicks.unknown("of_item") == unknown).all()
    of_item = np.where(unknown, 1.0, expected(rows, ["item"], SMOOTHING["of_item"]))
    np.testing.assert_allclose(rows["of_item_x"], of_item, rtol=1e-5, atol=1e-6)
    of_pair = np.array(expected(rows, ["user", "item"], SMOOTHING["of_pair"]))
    ids = clicks.feature_map["of_pair"]
    buckets = ids.ranges[0].first + np.clip(np.floor(2 * of_pair / np.log(2)) + 32, 0, 63).astype(int)
    assert rows["of_pair"].tolist() == np.where(unknown, ids.unknown_id, buckets).tolist()
    assert rows["of_pair"].nunique() > 3


def test_no_label_is_among_the_values_it_is_learnt_from(clicks: Clicks) -> None:
    """Instances of one value and fold have one rate, whatever their own labels."""
    train = clicks.rows[clicks.rows["split"] == "train"]
    by_label = train.groupby(["item", "fold"]).agg(rates=("of_item_x", "nunique"), labels=("label", "nunique"))
    assert (by_label["rates"] == 1).all()
    assert (by_label["labels"] == 2).sum() > 20


def test_a_night_has_the_rates_of_the_whole_training_split(clicks: Clicks) -> None:
    run_main("train", clicks.config)
    run_main("score", clicks.config, "--date", NIGHT)
    scores = pq.read_table(clicks.folder / "scores" / f"dt={NIGHT}").to_pandas()
    settings = load_settings(clicks.config)
    dataset, bundle = Dataset.open(settings.dataset.path), read_bundle(settings.run.bundle)
    assert {"rates.parquet"} <= {file.name for file in bundle.location.iterdir()}
    outside = np.concatenate([score_split(bundle.scorer, dataset, split).score for split in ("valid", "test")])
    nearest = np.abs(scores["score"].to_numpy()[None, :] - outside[:, None]).min(axis=1)
    assert nearest.max() < 1e-6
    assert len(np.unique(outside)) > 50


@pytest.mark.parametrize("sections", [{}, {"label": {"column": "stars", "range": [1, 5]}}])
def test_labels_of_two_values_are_needed(tmp_path: Path, sections: dict[str, object]) -> None:
    config = write_minimal_config(tmp_path, tmp_path / "logs", fields=FIELDS, **sections)
    with pytest.raises(
        SettingsError, match="of_item: a target_rate needs logs with positives and negatives; set label"
    ):
        load_settings(config)
