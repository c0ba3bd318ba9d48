"""Columns that the reader makes of others: a part of one, or several that tell a time together."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError, SettingsError
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.values import part_of_time
from tests.support.reading import read, settings_of

YEAR = r"\((\d{4})\)\s*$"
TITLES = 'title,user\n"Heat, the (1995)",u\nCasablanca,u\n2001 (1968) ,u\n\\N,u\n'


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"name": "year", "column": "title", "extract": YEAR}, ["1968", "1995", None, None]),
        ({"name": "title", "extract": YEAR}, ["1968", "1995", None, None]),
        ({"name": "year", "column": "title", "extract": r"\d{4}"}, ["1995", "2001", None, None]),
        ({"name": "year", "column": "title", "extract": YEAR, "kind": "numeric"}, ["1968", "1995", None, None]),
        (
            {"name": "year", "column": "title", "extract": YEAR, "kind": "hashed", "buckets": 9},
            ["1968", "1995", None, None],
        ),
    ],
)
def test_a_part_of_a_column_is_the_value(spark: SparkSession, tmp_path: Path, field: dict, expected: list) -> None:
    (tmp_path / "a.csv").write_text(TITLES)
    found = read(spark, settings_of(tmp_path, tmp_path / "a.csv", [field, "user"]))
    assert sorted((row[0] for row in found), key=str) == sorted(expected, key=str)


def test_the_whole_and_a_part_are_two_fields(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TITLES)
    fields = ["title", {"name": "year", "column": "title", "extract": YEAR}]
    assert ("Casablanca", None) in read(spark, settings_of(tmp_path, tmp_path / "a.csv", fields))


@pytest.mark.parametrize(
    ("fields", "logs", "message"),
    [
        (["year", {"name": "year", "column": "t", "extract": "x"}], {}, "year declared more than once"),
        (
            [{"name": "a", "column": "year"}, {"name": "year", "column": "t", "extract": "x"}],
            {},
            "field a reads column year",
        ),
        (
            ["user", {"name": "year", "column": "t", "extract": "x"}],
            {"keys": ["year"]},
            "column year is read by itself",
        ),
        (["user", {"name": "year", "column": "t", "extract": "("}], {}, "no regular expression"),
    ],
)
def test_what_cannot_be_extracted(tmp_path: Path, fields: list, logs: dict, message: str) -> None:
    with pytest.raises((LogsError, SettingsError), match=message):
        LogColumns.of(settings_of(tmp_path, tmp_path / "logs", fields, **logs), labelled=False)


def test_a_time_in_several_columns(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,day,month,year\nu,1,2,2026\nu,28,11,2025\nu,31,2,2026\nu,,2,2026\n")
    time = {"name": "month", "kind": "time", "of": ["day", "month", "year"], "format": "d M yyyy", "part": "month"}
    settings = settings_of(tmp_path, tmp_path / "a.csv", ["user", time], max_rejected=0.5)
    columns = LogColumns.of(settings, labelled=False)
    checked = check_logs(read_logs(spark, settings.logs, columns), settings, columns, settings.logs.path)
    assert checked.rejected == {"not_a_timestamp day month year": 1}
    _, field = settings.fields
    months = checked.accepted.select(part_of_time(field)).collect()
    assert sorted((row[0] for row in months), key=str) == ["11", "2", None]
