"""Which split an instance belongs to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from afm_core.settings import load_settings
from pipelines.preparation.prepare import prepare
from tests.support.decoding import decoded
from tests.support.jobs import RunJob
from tests.support.preparing import Prepare, config_for, logs, pairs


def test_the_last_days_are_left_out(prepared: Prepare) -> None:
    table = logs(300)
    manifest, frame = prepared(table, split={"by": "time", "time": "ts", "valid_days": 2, "test_days": 1})
    assert (manifest.split_by, manifest.units_in_several_splits) == ("time", 0)
    day = (table["ts"] - 1_767_225_600) // 86_400
    positives = frame[frame["label"] > 0]["split"].value_counts()
    assert positives.to_dict() == {"train": (day < 7).sum(), "valid": day.between(7, 8).sum(), "test": (day == 9).sum()}


def test_the_last_log_of_each_user_is_left_out(prepared: Prepare) -> None:
    table = logs(120).drop_duplicates(["user", "ts"]).sort_values("ts")
    manifest, frame = prepared(table, split={"by": "leave_one_out", "of": "user", "time": "ts"})
    assert manifest.units_in_several_splits == 0
    for split, back in (("test", -1), ("valid", -2)):
        expected = table.groupby("user").nth(back)
        actual = frame[(frame["split"] == split) & (frame["label"] > 0)]
        assert sorted(pairs(actual, "user", "item", "hour")) == sorted(pairs(expected, "user", "item", "hour"))
    labels = frame.groupby("split")["label"].value_counts().unstack()
    assert labels.loc["test", -1.0] <= 2 * labels.loc["test", 1.0]


NOTATIONS: dict[str, tuple[Callable[[pd.Series], object], dict[str, str]]] = {
    "seconds": (lambda time: [f"{at.timestamp():.3f}" for at in time], {}),
    "milliseconds": (lambda time: [round(at.timestamp() * 1_000) for at in time], {"time_format": "epoch_ms"}),
    "microseconds": (lambda time: [round(at.timestamp() * 1_000_000) for at in time], {"time_format": "epoch_us"}),
    "ISO 8601": (lambda time: [at.isoformat() for at in time], {}),
    "of a zone": (lambda time: [f"{at + pd.Timedelta(hours=2):%Y-%m-%dT%H:%M:%S.%f}+02:00" for at in time], {}),
    "a pattern": (
        lambda time: [f"{at:%d/%m/%Y %H:%M:%S.%f}" for at in time],
        {"time_format": "dd/MM/yyyy HH:mm:ss.SSSSSS"},
    ),
    "typed": (lambda time: time.astype("datetime64[us, UTC]"), {}),
    "typed, nanoseconds": (lambda time: time.astype("datetime64[ns, UTC]"), {}),
}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_fractions_of_a_second_order_the_logs_of_a_user(spark: SparkSession, tmp_path: Path, notation: str) -> None:
    write, time = NOTATIONS[notation]
    random, start = np.random.default_rng(5), pd.Timestamp("2026-01-02 03:04:05", tz="UTC")
    rows = [
        {"user": f"u{user}", "item": item, "ts": start + pd.Timedelta(milliseconds=milliseconds)}
        for user in range(20)
        for item, milliseconds in (("first", 200), ("middle", 201), ("last", 800))
    ]
    table = pd.DataFrame([rows[at] for at in random.permutation(len(rows))])
    table["ts"] = write(table["ts"])
    is_typed = notation.startswith("typed")
    config = config_for(
        tmp_path,
        table.head(0) if is_typed else table,
        fields=["user", "item"],
        negatives={"per_positive": 0},
        split={"by": "leave_one_out", "of": "user", "time": "ts", **time},
        **({"logs": {"path": str(tmp_path / "logs.parquet"), "format": "parquet"}} if is_typed else {}),
    )
    if is_typed:
        table.to_parquet(tmp_path / "logs.parquet", index=False)
    prepare(spark, load_settings(config))
    frame = decoded(tmp_path / "dataset")
    for split, item in (("train", "first"), ("valid", "middle"), ("test", "last")):
        assert frame[frame["split"] == split]["item"].tolist() == [item] * 20, split


def given(rows: int) -> pd.DataFrame:
    table = logs(rows)
    table["fold"] = np.array(["train", "VALID", "validation", "test"])[np.arange(rows) % 4]
    return table


def test_a_column_may_say_the_split(prepared: Prepare) -> None:
    """The negatives of an event are in its split."""
    table = given(200)
    manifest, frame = prepared(table, split={"by": "column", "column": "fold"})
    assert (manifest.split_by, manifest.units_in_several_splits) == ("column", 0)
    table["fold"] = table["fold"].replace({"VALID": "valid", "validation": "valid"})
    for split in ("train", "valid", "test"):
        of_split = frame[frame["split"] == split]
        positives = of_split[of_split["label"] > 0]
        assert sorted(pairs(positives, "user", "item", "hour")) == sorted(
            pairs(table[table["fold"] == split], "user", "item", "hour")
        )
        assert (of_split["label"] < 0).sum() > 0


def test_folders_may_say_the_split(prepared: Prepare, run_job: RunJob, tmp_path: Path) -> None:
    table = given(200)
    table["fold"] = table["fold"].replace({"VALID": "valid", "validation": "valid"})
    manifest, _ = prepared(table, split={"by": "column", "column": "fold"})
    for name, rows in table.groupby("fold"):
        (tmp_path / "folders" / f"fold={name}").mkdir(parents=True)
        rows.drop(columns="fold").to_csv(tmp_path / "folders" / f"fold={name}" / "a.csv", index=False)
    config = config_for(tmp_path, table, split={"by": "column", "column": "fold"})
    outcome = run_job("prepare", config, "--set", f"logs.path={tmp_path / 'folders'}")
    assert outcome.code == 0, outcome.err
    again, _ = prepared(table, split={"by": "column", "column": "fold"})
    assert {name: split.rows for name, split in again.splits.items()} == {
        name: split.rows for name, split in manifest.splits.items()
    }


def test_another_word_is_rejected(prepared: Prepare) -> None:
    table = given(100)
    table.loc[3, "fold"] = "dev"
    with pytest.raises(LogsError, match=r"not_a_split fold 1\), .*; for example fold 'dev' in "):
        prepared(table, split={"by": "column", "column": "fold"})


@pytest.mark.parametrize(
    "split",
    [
        {"train": 0.8, "valid": 0.2, "test": 0},
        pytest.param({"by": "time", "time": "ts", "test_days": 0, "valid_days": 2}, marks=pytest.mark.long),
        pytest.param({"by": "column", "column": "fold"}, marks=pytest.mark.long),
    ],
)
def test_a_last_training_may_use_everything(run_job: RunJob, tmp_path: Path, split: dict) -> None:
    """Without a test split: it trains, and evaluation says that there is nothing to measure."""
    table = given(300)
    table["fold"] = table["fold"].replace({"test": "train"})
    config = config_for(tmp_path, table, split=split, train={"epochs": 1, "batch_size": 32})
    for job in ("prepare", "train"):
        outcome = run_job(job, config)
        assert outcome.code == 0, outcome.err
    outcome = run_job("evaluate", config)
    assert outcome.code == 2
    assert "its test split has no rows" in outcome.err
