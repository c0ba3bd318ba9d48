"""Reading raw logs of any supported format as columns of text."""

import re
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import AtomicType, StringType, StructField, StructType

from afm_core.errors import LogsError
from afm_core.settings import Settings
from afm_core.settings.tree import Logs
from pipelines.spark import literal

CORRUPT = "_corrupt"
"""The raw line where the reader could not parse it, else null."""
FILE = "_file"
"""Where the row came from."""
PARTITION = "dt"


def read_logs(spark: SparkSession, settings: Settings, night: Path | None = None) -> DataFrame:
    """Read the columns that the settings name, as text, plus `CORRUPT` and `FILE`. Nothing is judged here.

    Args:
        night: the folder of one night, read whole instead of `settings.logs.path` between its dates.

    Raises:
        LogsError: nothing at the path, no rows' worth of columns, a column missing, or one that is not a plain value.
    """
    logs, path = settings.logs, night or settings.logs.path
    if not path.exists():
        raise LogsError(f"{path}: no logs there; set logs.path")
    if path.is_dir() and not _holds_files(path):
        raise LogsError(f"{path}: an empty folder; logs.path must hold {logs.format} files")
    wanted = wanted_columns(settings)
    raw = {"csv": _read_csv, "json": _read_json, "parquet": _read_parquet}[logs.format](spark, logs, path, wanted)
    if night is None:
        raw = _within_dates(raw, logs, path)
    file = F.col("_metadata.file_path").alias(FILE)
    return raw.select(*[F.col(name).cast("string").alias(name) for name in wanted], F.col(CORRUPT), file)


def wanted_columns(settings: Settings) -> list[str]:
    """Keys, then fields, each once."""
    return list(dict.fromkeys([*settings.logs.keys, *settings.field_names]))


def _holds_files(path: Path) -> bool:
    return any(file.is_file() and not file.name.startswith((".", "_")) for file in path.rglob("*"))


def _text(names: list[str]) -> StructType:
    return StructType([StructField(name, StringType()) for name in [*names, CORRUPT]])


def _read_csv(spark: SparkSession, logs: Logs, path: Path, wanted: list[str]) -> DataFrame:
    reader = spark.read.option("sep", logs.separator).option("escape", '"').option("columnNameOfCorruptRecord", CORRUPT)
    if logs.separator_in is not None:
        return _read_unquoted(spark, logs, logs.separator_in, path, wanted)
    if logs.columns:
        names = list(logs.columns)
    else:
        reader = reader.option("header", True).option("enforceSchema", False)  # each file's header is compared
        names = reader.csv(literal(path)).columns
        names = [name for name in names if not (name == PARTITION and path.is_dir())]
    _require(wanted, names, path)
    return reader.schema(_text(names)).csv(literal(path))


def _read_unquoted(spark: SparkSession, logs: Logs, greedy: str, path: Path, wanted: list[str]) -> DataFrame:
    """Lines without quotes, one column of which may hold the separator: it takes what the columns beside it leave."""
    _require(wanted, list(logs.columns), path)
    separator = re.escape(logs.separator)
    line = separator.join("(.*)" if name == greedy else f"([^{separator}]*)" for name in logs.columns)
    text, pattern = F.col("value"), f"^{line}$"
    raw = spark.read.text(literal(path)).where(text != "")
    for group, name in enumerate(logs.columns, start=1):
        raw = raw.withColumn(name, F.regexp_extract(text, pattern, group))
    return raw.withColumn(CORRUPT, F.when(~text.rlike(pattern), text))


def _read_json(spark: SparkSession, logs: Logs, path: Path, wanted: list[str]) -> DataFrame:
    return spark.read.option("columnNameOfCorruptRecord", CORRUPT).schema(_text(wanted)).json(literal(path))


def _read_parquet(spark: SparkSession, logs: Logs, path: Path, wanted: list[str]) -> DataFrame:
    raw = spark.read.parquet(literal(path))
    _require(wanted, raw.columns, path)
    for field in raw.schema:
        if field.name in wanted and not isinstance(field.dataType, AtomicType):
            found = field.dataType.simpleString()
            raise LogsError(f"{path}: column {field.name} is {found}; allowed are plain values (text, numbers, dates)")
    return raw.withColumn(CORRUPT, F.lit(None).cast("string"))


def _require(wanted: list[str], found: list[str], path: Path) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        listed = ", ".join(found) if found else "none: the file is empty"
        raise LogsError(
            f"{path}: column {', '.join(missing)} missing; found: {listed}; name the log's own columns in fields"
        )


def _within_dates(raw: DataFrame, logs: Logs, path: Path) -> DataFrame:
    if logs.first_date is None and logs.last_date is None:
        return raw
    if PARTITION not in raw.columns:
        raise LogsError(f"{path}: logs.first_date and logs.last_date need {PARTITION}=YYYY-MM-DD folders, none found")
    if logs.first_date is not None:
        raw = raw.where(F.col(PARTITION) >= logs.first_date.isoformat())
    if logs.last_date is not None:
        raw = raw.where(F.col(PARTITION) <= logs.last_date.isoformat())
    return raw
