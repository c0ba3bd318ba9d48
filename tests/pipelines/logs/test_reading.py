"""Where logs come from: every format, and every way to name files, gives the same rows."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from afm_core.settings import Settings, load_settings
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.spark_errors import one_line_errors
from tests.support.config import write_config

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
FIELDS = ["user", "app", {"name": "price", "kind": "numeric"}, {"name": "tags", "kind": "tags"}]
Rows = list[tuple[str | None, ...]]


def day_rows(day: str) -> Rows:
    last = day[-1]
    return [(f"u{last}", "ä, 1", "1.5", "x|y"), (f"v{last}", 'say "b"', None, "z"), (f"w{last}", "c", "-2.5", None)]


def all_rows(*days: str) -> Rows:
    return sorted((row for day in days or DAYS for row in day_rows(day)), key=repr)


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """CSV, one file per day in dt= folders."""
    for day in DAYS:
        folder = tmp_path / "logs" / f"dt={day}"
        folder.mkdir(parents=True)
        write_csv(folder / "part.csv", day_rows(day))
    return tmp_path / "logs"


def read(spark: SparkSession, settings: Settings, night: Path | None = None) -> Rows:
    columns = LogColumns.of(settings, labelled=False)
    with one_line_errors(Path("spark.log")):
        checked = check_logs(
            read_logs(spark, settings.logs, columns, night), settings, columns, night or settings.logs.path
        )
    assert checked.rejected == {}
    return sorted((tuple(row) for row in checked.accepted.collect()), key=repr)


def settings_of(folder: Path, path: Path | str, fields: list[Any] | None = None, **logs: Any) -> Settings:
    logs = {"path": str(path), "keys": [], "last_date": None, **logs}
    return load_settings(write_config(folder / "config", folder / "nights", logs=logs, fields=fields or FIELDS))


def write_csv(file: Path, rows: Rows) -> None:
    quoted = [[f'"{(value or "").replace(chr(34), chr(34) * 2)}"' for value in row] for row in rows]
    file.write_text("\n".join(["user,app,price,tags", *map(",".join, quoted)]) + "\n", encoding="utf-8")


def write_gzip(file: Path, rows: Rows) -> None:
    write_csv(file, rows)
    compressed = gzip.compress(file.read_bytes())
    file.unlink()
    file.with_name(f"{file.name}.gz").write_bytes(compressed)


def write_tsv(file: Path, rows: Rows) -> None:
    lines = ["\t".join('"say ""b"""' if "say" in (value or "") else value or "" for value in row) for row in rows]
    file.write_text("\n".join(lines), encoding="utf-8")


def write_json(file: Path, rows: Rows) -> None:
    lines = pa.Table.from_pylist([dict(zip(("user", "app", "price", "tags"), row, strict=True)) for row in rows])
    lines.to_pandas().to_json(file, orient="records", lines=True)


def table_of(rows: Rows) -> pa.Table:
    user, app, price, tags = zip(*rows, strict=True)
    prices = pa.array([None if value is None else float(value) for value in price], pa.float64())
    return pa.table({"user": user, "app": app, "price": prices, "tags": tags})


FORMATS: dict[str, tuple[Callable[[Path, Rows], None], dict[str, Any]]] = {
    "csv": (write_csv, {}),
    "csv.gz": (write_gzip, {}),
    "tsv": (write_tsv, {"separator": "\t", "columns": ["user", "app", "price", "tags"]}),
    "json": (write_json, {"format": "json"}),
    "parquet": (lambda file, rows: pq.write_table(table_of(rows), file), {"format": "parquet"}),
    "orc": (lambda file, rows: orc.write_table(table_of(rows), file), {"format": "orc"}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(spark: SparkSession, tmp_path: Path, name: str) -> None:
    write, logs = FORMATS[name]
    for day in DAYS:
        folder = tmp_path / "logs" / f"dt={day}"
        folder.mkdir(parents=True)
        write(folder / f"part.{name.removesuffix('.gz')}", day_rows(day))
    assert read(spark, settings_of(tmp_path, tmp_path / "logs", **logs)) == all_rows()
    dates = {"first_date": DAYS[1], "last_date": DAYS[1]}
    assert read(spark, settings_of(tmp_path, tmp_path / "logs", **logs, **dates)) == all_rows(DAYS[1])


@pytest.mark.parametrize("is_view", [True, False])
def test_a_table_of_the_catalogue(spark: SparkSession, days: Path, tmp_path: Path, is_view: bool) -> None:
    frame = spark.read.option("header", True).option("escape", '"').csv(str(days))
    if is_view:
        frame.createOrReplaceTempView("logs")
    else:
        spark.sql(f"CREATE DATABASE afm LOCATION '{tmp_path / 'warehouse'}'")
        frame.write.partitionBy("dt").saveAsTable("afm.logs", path=str(tmp_path / "warehouse" / "logs"))
    name = "logs" if is_view else "afm.logs"
    try:
        assert read(spark, settings_of(tmp_path, name, format="table")) == all_rows()
        dates = settings_of(tmp_path, name, format="table", first_date=DAYS[0], last_date=DAYS[1])
        assert read(spark, dates) == all_rows(*DAYS[:2])
    finally:
        spark.sql("DROP VIEW logs" if is_view else "DROP DATABASE afm CASCADE")
        shutil.rmtree("spark-warehouse", ignore_errors=True)


@pytest.mark.parametrize("name", ["nowhere", "no.such.table", "not a name"])
def test_no_such_table(spark: SparkSession, tmp_path: Path, name: str) -> None:
    with pytest.raises(LogsError, match=f"^{name}: no such table in Spark's catalogue"):
        read(spark, settings_of(tmp_path, name, format="table"))


@pytest.mark.parametrize(
    ("pattern", "logs", "expected"),
    [
        ("", {}, DAYS),
        ("", {"first_date": DAYS[1]}, DAYS[1:]),
        ("", {"last_date": DAYS[1]}, DAYS[:2]),
        ("dt=*", {}, DAYS),
        ("dt=2026-01-0[12]", {}, DAYS[:2]),
        ("dt=2026-01-0[12]", {"first_date": DAYS[1]}, DAYS[1:2]),
        ("dt=*/part.csv", {"last_date": DAYS[0]}, DAYS[:1]),
        ("*/*.csv", {"first_date": DAYS[2]}, DAYS[2:]),
        ("../l?gs", {"first_date": DAYS[2]}, DAYS[2:]),
        ("dt=2026-01-02/*.csv", {"first_date": DAYS[0]}, DAYS[1:2]),
        ("dt=2026-01-02", {"first_date": DAYS[0]}, DAYS[1:2]),
        ("dt=2026-01-02/part.csv", {}, DAYS[1:2]),
        ("dt=2026-01-02/part.csv", {"first_date": DAYS[0], "last_date": DAYS[1]}, DAYS[1:2]),
    ],
)
def test_folders_files_patterns_and_dates(
    spark: SparkSession, days: Path, tmp_path: Path, pattern: str, logs: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert read(spark, settings_of(tmp_path, days / pattern, **logs)) == all_rows(*expected)


def test_a_pattern_of_files_without_days(spark: SparkSession, tmp_path: Path) -> None:
    for day in DAYS:
        write_csv(tmp_path / f"logs-{day}.csv", day_rows(day))
    assert read(spark, settings_of(tmp_path, tmp_path / "logs-2026-01-0[13].csv")) == all_rows(DAYS[0], DAYS[2])
    with pytest.raises(LogsError, match="logs-x: no logs there"):
        read(spark, settings_of(tmp_path, tmp_path / "logs-x"))


@pytest.mark.parametrize("name", ["a[1] {x,y} *?", "100 %20", "day=x[1]", "ü # & é"])
@pytest.mark.parametrize("path", ["{}", "{}/dt=2026-01-02", "{}/dt=2026-01-02/part.csv"])
def test_a_path_that_exists_is_no_pattern(
    spark: SparkSession, days: Path, tmp_path: Path, name: str, path: str
) -> None:
    days.rename(tmp_path / name)
    expected = DAYS if path == "{}" else DAYS[1:2]
    assert read(spark, settings_of(tmp_path, tmp_path / path.format(name))) == all_rows(*expected)


@pytest.mark.parametrize("name", FORMATS)
def test_a_night_knows_its_day_whatever_the_training_logs_are(spark: SparkSession, tmp_path: Path, name: str) -> None:
    write, logs = FORMATS[name]
    night = tmp_path / "nights" / f"dt={DAYS[0]}"
    night.mkdir(parents=True)
    write(night / f"part.{name.removesuffix('.gz')}", day_rows(DAYS[0]))
    fields = [*FIELDS, {"name": "weekday", "kind": "time", "of": "dt", "part": "weekday"}]
    settings = settings_of(tmp_path, tmp_path / "gone" / "*.csv", fields, **logs, last_date="2025-01-01")
    assert read(spark, settings, night) == [(*row, DAYS[0]) for row in all_rows(DAYS[0])]


def test_the_folder_says_the_day_where_the_file_says_another(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "logs" / f"dt={DAYS[0]}"
    folder.mkdir(parents=True)
    (folder / "part.csv").write_text("user,dt,app\nu1,1999-01-01,a1\n")
    settings = settings_of(
        tmp_path, tmp_path / "logs", ["user", "app", {"name": "day", "column": "dt"}], last_date=DAYS[0]
    )
    assert read(spark, settings) == [("u1", "a1", DAYS[0])]
