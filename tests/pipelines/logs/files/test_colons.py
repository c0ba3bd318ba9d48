"""Files that are named after a time, which Hadoop's local file system cannot check."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from pipelines.logs.columns import FILE
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from tests.support.reading import read, settings_of

NAME = "logs-2026-01-02T10:00:00Z"
CSV = "user,item\nu1,i1\n"
ROWS = [("u1", "i1")]


def as_parquet(path: Path) -> None:
    pq.write_table(pa.table({"user": ["u1"], "item": ["i1"]}), path)


FORMATS: dict[str, tuple[Any, dict[str, Any]]] = {
    "csv": (lambda path: path.write_text(CSV), {}),
    "csv whole": (lambda path: path.write_text(CSV), {"multiline": True}),
    "csv without a header": (lambda path: path.write_text("u1,i1\n"), {"columns": ["user", "item"]}),
    "json": (lambda path: path.write_text('{"user": "u1", "item": "i1"}\n'), {"format": "json"}),
    "parquet": (as_parquet, {"format": "parquet"}),
    "orc": (
        lambda path: orc.write_table(pa.table({"user": ["u1"], "item": ["i1"]}), str(path)),
        {"format": "orc"},
    ),
}


@pytest.mark.parametrize("inside", ["", f"{NAME}.log", "*10:00*"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_colon_in_the_name_of_a_file(spark: SparkSession, tmp_path: Path, name: str, inside: str) -> None:
    """Of a folder, as one file, and in a pattern."""
    write, logs = FORMATS[name]
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs" / f"{NAME}.log")
    assert read(spark, settings_of(tmp_path, tmp_path / "logs" / inside, **logs)) == ROWS


def test_a_colon_and_characters_of_patterns_are_refused_in_one_line(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "[1]").mkdir()
    (tmp_path / "[1]" / f"{NAME}.csv").write_text(CSV)
    with pytest.raises(
        LogsError, match=r"\[1\]/logs-2026.*csv: Hadoop cannot read a path with a colon .*; rename the file"
    ):
        read(spark, settings_of(tmp_path, tmp_path / "[1]"))


def test_a_colon_in_the_name_of_a_folder(spark: SparkSession, tmp_path: Path) -> None:
    night = tmp_path / "logs" / "dt=2026-01-02"
    (night / "hour=10:00").mkdir(parents=True)
    (night / "hour=10:00" / f"{NAME}.csv").write_text(CSV)
    settings = settings_of(tmp_path, tmp_path / "logs", ["user", "item", "hour"])
    assert read(spark, settings) == read(spark, settings, night) == [(*ROWS[0], "10:00")]


def test_types_that_differ_and_times_in_nanoseconds(spark: SparkSession, tmp_path: Path) -> None:
    as_parquet(tmp_path / "a.parquet")
    times = pa.array([1_767_322_800_123_456_789], pa.timestamp("ns"))
    pq.write_table(pa.table({"user": [1], "item": times}), tmp_path / f"{NAME}.parquet")
    settings = settings_of(tmp_path, tmp_path / "*.parquet", format="parquet")
    assert read(spark, settings) == sorted([("1", "2026-01-02 03:00:00.123456"), *ROWS])


def test_the_file_of_a_row_has_its_name(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.csv").write_text(CSV)
    settings = settings_of(tmp_path, tmp_path / f"{NAME}.csv")
    rows = read_logs(spark, settings.logs, LogColumns.of(settings, labelled=False)).collect()
    assert [Path(row[FILE]).name for row in rows] == [f"{NAME}.csv"]
