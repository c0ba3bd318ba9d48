"""Logs as a test writes them, read as the jobs read them."""

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from afm_core.settings import Settings, load_settings
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from tests.support.config import write_minimal_config

FIELDS = ["user", "item"]
Rows = list[tuple[str | None, ...]]


def read(spark: SparkSession, settings: Settings, night: Path | None = None) -> Rows:
    columns = LogColumns.of(settings, labelled=False)
    raw = read_logs(spark, settings.logs, columns, night)
    checked = check_logs(raw, settings, columns, night or settings.logs.path)
    assert checked.rejected == {}
    return sorted((tuple(row) for row in checked.accepted.collect()), key=repr)


def settings_of(folder: Path, path: Path, fields: list[Any] | None = None, /, **logs: Any) -> Settings:
    """Settings in which no field is required."""
    sections = {"logs": {"path": str(path), **logs}, "negatives": {"per_positive": 0}}
    return load_settings(write_minimal_config(folder / "config", path, fields=fields or FIELDS, **sections))
