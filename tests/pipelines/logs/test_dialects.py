"""Dialects of CSV, marks of missing values, and files that are something else than they seem."""

import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.values import tag_values
from pipelines.spark_errors import one_line_errors
from tests.support.reading import FIELDS, Rows, read, settings_of


def read_text(spark: SparkSession, folder: Path, content: str | bytes, **logs: Any) -> Rows:
    (folder / "logs.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return read(spark, settings_of(folder, folder / "logs.csv", **logs))


@pytest.mark.parametrize(
    ("content", "logs", "expected"),
    [
        ("user::item\nu1::i1\nu:2::a|b\n", {"separator": "::"}, [("u1", "i1"), ("u:2", "a|b")]),
        ("u1::i1\n", {"separator": "::", "columns": FIELDS}, [("u1", "i1")]),
        ('user::item\nu1::"a::b"\n', {"separator": "::"}, [("u1", "a::b")]),
        ("user\titem\nu1\ti1\n", {"separator": "\\t"}, [("u1", "i1")]),
        ('user\titem\n12"\t"x\n', {"separator": "\t", "quote": ""}, [('12"', '"x')]),
        ("user,item\n'a,b',i1\n", {"quote": "'"}, [("a,b", "i1")]),
        ('user,item\n"Pub \\"1\\"",i1\n', {"escape": "\\"}, [('Pub "1"', "i1")]),
        ('user,item\n"Bar \\"1\\", Rome",i1\n', {"escape": "\\"}, [('Bar "1", Rome', "i1")]),
        ('user,item\n"C:\\dir\\",i1\n', {}, [("C:\\dir\\", "i1")]),
        ("user,item\nu1,i1\nuser,item\nu2,i2\n", {}, [("u1", "i1"), ("u2", "i2")]),
        ('"user","item"\nu1,i1\n"user","item"\n', {}, [("u1", "i1")]),
        ("user,item\né,ü\n".encode("latin-1"), {"encoding": "latin-1"}, [("é", "ü")]),
        ("é,ü\n".encode("latin-1"), {"encoding": "latin-1", "columns": FIELDS}, [("é", "ü")]),
        ("user,item\nu1,\\N\nNULL,i2\n", {}, [("u1", None), (None, "i2")]),
        ("user,item\nNA,None\n", {}, [("NA", "None")]),
        ("user,item\nNA,-\nu1,i1\n", {"missing": ["NA", "-"]}, [(None, None), ("u1", "i1")]),
    ],
)
def test_dialects(
    spark: SparkSession, tmp_path: Path, content: str | bytes, logs: dict[str, Any], expected: Rows
) -> None:
    assert read_text(spark, tmp_path, content, **logs) == sorted(expected, key=repr)


@pytest.mark.parametrize("line", ['"Pub \\"1\\"",i1', '"a \\"b\\", c",i1', 'u1,"x \\"y\\" z"'])
def test_backslashes_before_quotes_are_not_taken_for_text(spark: SparkSession, tmp_path: Path, line: str) -> None:
    (tmp_path / "logs.csv").write_text(f"user,item\n{line}\nu,i\n")
    settings = settings_of(tmp_path, tmp_path / "logs.csv", max_rejected=1.0)
    columns = LogColumns.of(settings, labelled=False)
    checked = check_logs(read_logs(spark, settings.logs, columns), settings, columns, settings.logs.path)
    assert checked.rejected == {"malformed": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1\x15\x04", "begins as Parquet, and logs.format is csv; set logs.format: parquet"),
        (b'{"user": 1}\n', "begins as JSON lines, and logs.format is csv; set logs.format: json"),
        (b"ORC\x00\x01", "begins as ORC, and logs.format is csv; set logs.format: orc"),
        (b"PK\x03\x04\x00", "begins as a ZIP archive, and logs.format is csv; unpack it"),
    ],
)
def test_another_format_is_recognised(spark: SparkSession, tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(LogsError, match=f"logs.csv: {message}$"):
        read_text(spark, tmp_path, content)


@pytest.mark.parametrize(
    ("inside", "format_"),
    [
        ("_delta_log/00000000000000000000.json", "a Delta table"),
        ("metadata/v1.metadata.json", "an Iceberg table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
    ],
)
def test_the_files_of_a_table_are_not_its_rows(spark: SparkSession, tmp_path: Path, inside: str, format_: str) -> None:
    folder = tmp_path / "table"
    (folder / inside).parent.mkdir(parents=True)
    (folder / inside).write_text("{}")
    pq.write_table(pa.table({"user": ["u"], "item": ["i"]}), folder / "part-0.parquet")
    with pytest.raises(LogsError, match=f"table: is {format_}, whose files also hold rows that were removed; register"):
        read(spark, settings_of(tmp_path, folder, format="parquet"))


def test_days_that_are_left_out_may_hold_anything(spark: SparkSession, tmp_path: Path) -> None:
    for day, content in (("2026-01-14", "user,item\nu1,i1\n"), ("2026-01-15", "item,user,place,new\n" + "x" * 500)):
        (tmp_path / "logs" / f"dt={day}").mkdir(parents=True)
        (tmp_path / "logs" / f"dt={day}" / "a.csv").write_text(content)
    settings = settings_of(tmp_path, tmp_path / "logs", last_date="2026-01-14")
    assert read(spark, settings) == [("u1", "i1")]
    with pytest.raises(LogsError, match="logs: holds no rows from the first day to 2025-01-01; correct"):
        read(spark, settings_of(tmp_path, tmp_path / "logs", last_date="2025-01-01"))


def test_a_pattern_of_files_reads_no_others_of_a_day(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "dt=2026-01-14"
    folder.mkdir(parents=True)
    (folder / "part-0.csv").write_text("user,item\nu1,i1\n")
    (folder / "other.csv").write_text("user,item\nu9,i9\n")
    dates = {"first_date": "2026-01-01", "last_date": "2026-01-31"}
    assert read(spark, settings_of(tmp_path, tmp_path / "logs" / "dt=*" / "part-*.csv", **dates)) == [("u1", "i1")]


def test_types_of_days_that_are_left_out_do_not_matter(spark: SparkSession, tmp_path: Path) -> None:
    for day, users in (("2026-01-14", [7]), ("2026-01-15", [7.5])):
        (tmp_path / "logs" / f"dt={day}").mkdir(parents=True)
        pq.write_table(pa.table({"user": users, "item": ["i"]}), tmp_path / "logs" / f"dt={day}" / "a.parquet")
    settings = settings_of(tmp_path, tmp_path / "logs", format="parquet", last_date="2026-01-14")
    assert read(spark, settings) == [("7", "i")]


def parquet_of(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


NIGHTS: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "column missing": (b"user,place\nu1,p\n", {}, "dt=2026-01-15: column item missing; found: user, place, dt"),
    "column missing in Parquet": (
        parquet_of(user=["u1"], place=["p"]),
        {"format": "parquet"},
        "dt=2026-01-15: column item missing; found: user, place, dt",
    ),
    "a column twice": (b"user,item,Item\nu1,i,j\n", {}, "dt=2026-01-15/a.log: the header names item, Item more than"),
    "a list where a value is needed": (
        parquet_of(user=["u1"], item=[["i"]]),
        {"format": "parquet"},
        "dt=2026-01-15: column item is array<string>; allowed are plain values",
    ),
    "Parquet read as CSV": (parquet_of(user=["u1"], item=["i"]), {}, "dt=2026-01-15/a.log: begins as Parquet"),
    "CSV read as Parquet": (b"user,item\nu1,i\n", {"format": "parquet"}, "dt=2026-01-15/a.log"),
    "another encoding": ("user,item\nu1,i\n".encode("utf-16"), {}, "dt=2026-01-15/a.log: begins as UTF-16"),
    "no log at all": (b"", {}, "dt=2026-01-15: column user, item missing; found: dt"),
}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_is_named_in_its_errors(spark: SparkSession, tmp_path: Path, name: str) -> None:
    content, logs, message = NIGHTS[name]
    night = tmp_path / "nights" / "dt=2026-01-15"
    night.mkdir(parents=True)
    (night / "a.log").write_bytes(content)
    with pytest.raises(LogsError, match=re.escape(f"nights/{message}")), one_line_errors(tmp_path / "spark.log"):
        read(spark, settings_of(tmp_path, tmp_path / "train", **logs), night)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[27, 9]", ["27", "9"]),
        ('["a", "b|c"]', ["a", "b|c"]),
        ("['a', 'b']", ["a", "b"]),
        ("[9]", ["9"]),
        ("[]", None),
        ("[null, 3]", ["3"]),
        ("a|b", ["a", "b"]),
        ("[a|b]", ["[a", "b]"]),
        (None, None),
    ],
)
def test_lists_written_as_text(
    spark: SparkSession, tmp_path: Path, text: str | None, expected: list[str] | None
) -> None:
    field = settings_of(tmp_path, tmp_path / "logs", ["user", {"name": "genres", "kind": "tags"}]).field("genres")
    frame = spark.createDataFrame([(text,)], "genres string")
    (row,) = frame.select(tag_values(field).alias("tags")).collect()
    assert (sorted(row["tags"]) if row["tags"] else None) == expected
