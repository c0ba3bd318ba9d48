"""A split without rows is an error in the words of its cause."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError, SettingsError
from afm_core.settings import Settings, load_settings
from pipelines.preparation.split_checks import require_every_split
from tests.support.config import write_minimal_config

TWO_DAYS = [("u1", "2026-01-01"), ("u2", "2099-12-31T10:00:00Z")]


def settings_of(folder: Path, **split: Any) -> Settings:
    return load_settings(write_minimal_config(folder, folder / "logs", fields=["user", "item"], split=split))


def check(spark: SparkSession, settings: Settings, *rows: int) -> None:
    events = spark.createDataFrame(TWO_DAYS, "user string, ts string")
    require_every_split(dict(zip(("train", "valid", "test"), rows, strict=True)), settings, events)


@pytest.mark.parametrize(
    ("split", "rows", "message"),
    [
        (
            {"by": "time", "time": "ts"},
            (24, 0, 2),
            r"split.by time: no rows in valid; the last log is of 2099-12-31, the first of 2026-01-01",
        ),
        (
            {"by": "leave_one_out", "of": "user"},
            (0, 0, 60),
            r"no rows in train and valid; test is the last positive of each value of user, valid the one before it",
        ),
        (
            {"by": "user"},
            (70, 0, 20),
            r"split.by user: no rows in valid, of 90 instances in all; use more logs, or other",
        ),
        ({}, (1_000, 500, 0), r"split.by random: no rows in test, of 1,500 instances in all"),
    ],
)
def test_the_cause_is_named(
    spark: SparkSession, tmp_path: Path, split: dict[str, str], rows: tuple[int, ...], message: str
) -> None:
    with pytest.raises(LogsError, match=message):
        check(spark, settings_of(tmp_path, **split), *rows)


def test_of_a_handful_of_rows_a_split_may_be_empty_by_chance(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(spark, settings_of(tmp_path), 4, 1, 0)
    assert "split.by random: no rows in test, of 5 instances in all" in capsys.readouterr().err
    check(spark, settings_of(tmp_path), 4, 1, 1)
    assert not capsys.readouterr().err


def test_positives_alone_are_not_left_out_of_labelled_logs(tmp_path: Path) -> None:
    sections = {"label": {"column": "clicked"}, "split": {"by": "leave_one_out", "of": "user"}}
    with pytest.raises(SettingsError, match="leave_one_out leaves out positives alone"):
        load_settings(write_minimal_config(tmp_path, tmp_path / "logs", fields=["user", "item"], **sections))
    drawn = write_minimal_config(
        tmp_path, tmp_path / "logs", fields=["user", "item"], negatives={"per_positive": 1}, **sections
    )
    assert load_settings(drawn).per_positive == 1
