"""Logs with every kind of field, and the dataset prepared from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml

from afm_core.features import FeatureMap
from afm_core.settings import load_settings
from pipelines.dataset import Dataset
from tests.support.jobs import run_main

FIELDS = [
    "user",
    {"name": "item", "min_count": 3},
    "category",
    {"name": "price", "kind": "numeric"},
    {"name": "price_log", "kind": "numeric", "column": "price", "scale": "log1p", "missing": "mean"},
    {"name": "price_bucket", "kind": "numeric", "column": "price", "scale": "quantiles", "buckets": 4},
    {"name": "age", "kind": "numeric", "missing": "mean"},
    {"name": "genres", "kind": "tags", "length": 3, "ignore_case": True, "min_count": 2},
    {"name": "ip", "kind": "hashed", "buckets": 16},
    {"name": "hour", "kind": "time", "of": "ts", "part": "hour", "timezone": "Europe/Berlin"},
    {"name": "weekday", "kind": "time", "of": "ts", "part": "weekday"},
    {"name": "weekend", "kind": "time", "of": "ts", "part": "weekend"},
    {"name": "user_hour", "kind": "crossed", "of": ["user", "hour"], "buckets": 32},
    {"name": "n_item", "kind": "frequency", "of": ["item"]},
    {"name": "n_user_category", "kind": "frequency", "of": ["user", "category"], "scale": "buckets"},
    {"name": "goes_with", "kind": "co_occurrence", "of": ["user", "category"], "aggregation": "sum", "scale": "log1p"},
    {"name": "best_goes_with", "kind": "co_occurrence", "of": ["user", "item"]},
]
SPLITS = ("train", "valid", "test")


def simulated_logs(rows: int = 600) -> pd.DataFrame:
    random = np.random.default_rng(5)
    item = np.minimum(random.geometric(0.08, rows), 60)
    genres = [
        random.choice(["Drama", "drama", "war", "Film|Noir", "sci-fi", f"rare{row}"], random.integers(0, 6))
        for row in range(rows)
    ]
    price = np.round(random.lognormal(1.0, 1.0, rows), 2)
    return pd.DataFrame(
        {
            "event.id": [f"e{row}" for row in range(rows)],
            "user": [f"u{number}" for number in random.integers(0, 25, rows)],
            "item": [f"i{number}" for number in item],
            "category": [f"c{number % 5}" for number in item],
            "price": [None if random.random() < 0.1 else float(value) for value in price],
            "genres": ["|".join(tags) for tags in genres],
            "ip": [f"10.0.0.{number}" for number in random.integers(0, 200, rows)],
            "ts": pd.Timestamp("2026-03-27") + pd.to_timedelta(random.integers(0, 5 * 86_400, rows), unit="s"),
            "age": random.integers(18, 90, rows),
        }
    )


@dataclass
class Prepared:
    folder: Path
    config: Path
    logs: pd.DataFrame
    rows: pd.DataFrame
    feature_map: FeatureMap

    def values(self, field: str) -> pd.Series:
        table = pq.read_table(self.folder / "dataset" / "features.parquet").to_pandas().set_index("id")
        return self.rows[field].map(table["value"])

    def train_once(self) -> None:
        if not load_settings(self.config).run.bundle.exists():
            run_main("train", self.config)

    def unknown(self, field: str) -> pd.Series:
        return self.rows[field] == self.feature_map[field].unknown_id


def prepare_every_kind(folder: Path) -> Prepared:
    logs = simulated_logs()
    night = folder / "logs" / "dt=2026-03-27"
    night.mkdir(parents=True)
    logs.to_csv(night / "logs.csv", index=False)
    config = folder / "settings.yaml"
    tree = {
        "name": "kinds",
        "logs": {"path": str(folder / "logs"), "keys": ["event.id"]},
        "fields": FIELDS,
        "negatives": {"replace": ["item", "category"], "never_seen_by": "user"},
        "dataset": {"path": str(folder / "dataset"), "rows_per_file": 500},
        "model": {"name": "afm", "embedding_dim": 4, "attention_dim": 4},
        "train": {"batch_size": 64, "epochs": 2},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(folder / "logs"), "path": str(folder / "scores")},
    }
    config.write_text(yaml.safe_dump(tree))
    run_main("prepare", config)
    feature_map = Dataset.open(folder / "dataset").feature_map
    parts = [pq.read_table(folder / "dataset" / split).to_pandas().assign(split=split) for split in SPLITS]
    return Prepared(folder, config, logs, pd.concat(parts, ignore_index=True), feature_map)
