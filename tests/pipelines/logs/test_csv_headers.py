"""Columns of CSV files go by their names, file by file."""

import bz2
import gzip
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from tests.support.reading import read, settings_of

EXPECTED = [("u1", "i1"), ("u2", "i2")]


def written(folder: Path, *contents: str) -> Path:
    folder.mkdir(parents=True)
    for position, content in enumerate(contents):
        (folder / f"{position}.csv").write_text(content)
    return folder


@pytest.mark.parametrize(
    "second",
    [
        "item,user\ni2,u2\n",
        '"user","item"\nu2,i2\n',
        "user,place,item,other\nu2,p,i2,o\n",
        "\ufeffitem,user\ni2,u2\n",
        "\n  \nitem,user\r\ni2,u2\r\n",
        "user,item\nu2,i2\nuser,item\n",
        "item,user\ni2,u2\nitem,user\n",
    ],
)
def test_a_file_may_have_a_header_of_its_own(spark: SparkSession, tmp_path: Path, second: str) -> None:
    logs = written(tmp_path / "logs", "user,item\nu1,i1\n", second, "", "\n")
    assert read(spark, settings_of(tmp_path, logs)) == EXPECTED


def test_rows_are_judged_by_the_header_of_their_file(spark: SparkSession, tmp_path: Path) -> None:
    logs = written(tmp_path / "logs", "user,item\nu1,i1\nu1,i1,x\n", "user,item,x\nu2,i2,x\nu3,i3\n")
    settings = settings_of(tmp_path, logs, max_rejected=1.0)
    columns = LogColumns.of(settings, labelled=False)
    checked = check_logs(read_logs(spark, settings.logs, columns), settings, columns, logs)
    assert checked.rejected == {"malformed": 2}
    assert sorted((row.raw, Path(row.file).name) for row in checked.rejects.collect()) == [
        ("u1,i1,x", "0.csv"),
        ("u3,i3", "1.csv"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_headers_of_compressed_files_and_other_encodings(spark: SparkSession, tmp_path: Path, encoding: str) -> None:
    logs = written(tmp_path / "logs")
    (logs / "a.csv.gz").write_bytes(gzip.compress("é,item\nü1,i1\n".encode(encoding)))
    (logs / "b.csv.bz2").write_bytes(bz2.compress("item,é\ni2,ü2\n".encode(encoding)))
    (logs / "c.csv").write_bytes("item,é\ni3,ü3\n".encode(encoding))
    fields = [{"name": "user", "column": "é"}, "item"]
    found = read(spark, settings_of(tmp_path, logs, fields, encoding=encoding))
    assert found == [("ü1", "i1"), ("ü2", "i2"), ("ü3", "i3")]


def test_days_have_headers_of_their_own_and_those_left_out_have_none(spark: SparkSession, tmp_path: Path) -> None:
    for day, content in enumerate(["user,item\nu1,i1\n", "item,user\ni2,u2\n", "something,else\n1,2\n"], start=1):
        written(tmp_path / "logs" / f"dt=2026-01-0{day}", content)
    assert read(spark, settings_of(tmp_path, tmp_path / "logs", last_date="2026-01-02")) == EXPECTED


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("user\nu2\n", r"1\.csv: column item missing, which other files have; found: user; correct the file, or name"),
        ("u2,i2\n", r"1\.csv: column user, item missing, which other files have; found: u2, i2"),
        ("user,item,ITEM\n", r"1\.csv: the header names item, ITEM more than once"),
        ('{"user": 1}\n', r"1\.csv: begins as JSON lines, and logs\.format is csv"),
    ],
)
def test_the_file_that_lacks_a_column_is_named(spark: SparkSession, tmp_path: Path, second: str, message: str) -> None:
    logs = written(tmp_path / "logs", "user,item\nu1,i1\n", second)
    with pytest.raises(LogsError, match=message):
        read(spark, settings_of(tmp_path, logs))


def test_files_without_headers_are_recognised(spark: SparkSession, tmp_path: Path) -> None:
    logs = written(tmp_path / "logs", "user,item\nu,i\n", *(f"u{row},i{row}\n" for row in range(120)))
    with pytest.raises(LogsError, match=r"its files have 121 different first lines.*in logs\.columns"):
        read(spark, settings_of(tmp_path, logs))


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_an_optional_column_may_be_missing(spark: SparkSession, tmp_path: Path, format_: str) -> None:
    """In some files, or, as in a night before the column came, in all."""
    fields = ["user", {"name": "place", "kind": "tags", "length": 1}]
    rows = spark.createDataFrame([("u2", "p2")], "user string, place string")
    old = rows.select("user")
    for name, frame in (("new", rows), ("old", old)):
        frame.coalesce(1).write.option("header", True).format(format_).save(str(tmp_path / name))
    options = {"optional": ["place"], "format": format_}
    both = settings_of(tmp_path, tmp_path / "[no]*", fields, **options)
    assert set(read(spark, both)) == {("u2", None), ("u2", "p2")}
    alone = settings_of(tmp_path, tmp_path / "old", fields, **options)
    rows = read_logs(spark, alone.logs, LogColumns.of(alone, labelled=False)).select("user", "place").collect()
    assert [tuple(row) for row in rows] == [("u2", None)]


def test_a_damaged_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    logs = written(tmp_path / "logs", "user,item\nu1,i1\n")
    (logs / "b.csv.gz").write_bytes(b"no gzip at all")
    with pytest.raises(LogsError, match=r"b\.csv\.gz: cannot be read: .*; repair the file or take it away"):
        read(spark, settings_of(tmp_path, logs))
