"""Writing logs as Parquet in `dt=YYYY-MM-DD` folders, as nights are read, by the day of a column."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.errors import LogsError, MachineError
from afm_core.settings import Settings
from afm_core.storage.atomic import write_text
from afm_core.storage.publishing import place_of, staged_for_all
from pipelines.contract_checks import check_frame
from pipelines.contracts import REJECT_TABLE
from pipelines.logs.checking import CheckedLogs, require_usable
from pipelines.logs.columns import CORRUPT, FILE, LIST, OURS, cleaned, column
from pipelines.logs.files_as_text import read_as_text
from pipelines.logs.inputs import Inputs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.rules import is_nested
from pipelines.logs.sources import PARTITION
from pipelines.logs.values import timestamp
from pipelines.spark import url
from pipelines.spark_stages import Stages

REPORT_FILE, REJECTS_FOLDER = "_report.json", "_rejects"
_ROWS_PER_FILE = 4_000_000
_DAY, _RULE = f"{OURS}day", f"{OURS}rule"


@dataclass(frozen=True)
class PartitionedLogs:
    """What was written."""

    rows_in: int
    rejected: dict[str, int]
    """Rows without a day, by reason."""
    days: dict[str, int]
    """Rows of each day."""


def partition_logs(
    spark: SparkSession, settings: Settings, by: str, time_format: str | None, out: Path
) -> PartitionedLogs:
    """Write the columns that the settings name, as text, one folder per day in UTC.

    A row whose line is malformed, whose day cannot be read, or which holds an object of JSON in place of a value, is
    written to `_rejects` with the reason; all other rules are left to the jobs that read the folders. Cost: the logs
    are read twice, and their rows shuffled once.

    Args:
        by: column with the date or timestamp.
        time_format: its format, as `format` of a time field.
        out: folder that is replaced as a whole when everything is written.

    Raises:
        LogsError: the logs cannot be read, have a column `dt` of their own, or more rows are rejected than
            `logs.max_rejected`.
        MachineError: executors and driver do not share the disk of `out`.
        ReplacedLogsError: files of the logs were written meanwhile.
        ForeignFolderError: `out` holds something else.
    """
    stages, inputs = Stages(spark), Inputs.of(settings.logs, lambda: spark)
    columns = LogColumns.of(settings, labelled=True)
    names = list(dict.fromkeys([*columns.in_files, by]))
    if PARTITION in map(str.lower, names):
        raise LogsError(
            f"{settings.logs.where}: the settings read a column {PARTITION}, which is the name of the folders of days; "
            "rename it in the logs, or leave it out"
        )
    judged = _judged(
        read_as_text(spark, settings.logs, None, names, columns.tag_sources), settings, names, by, time_format
    )
    days = judged.where(F.col(_RULE).isNull())
    days = days.select(*[_as_read(name, name in columns.tag_sources) for name in names], F.col(_DAY).alias(PARTITION))
    rejects = _rejects(judged, names, by)
    with stages("find the days") as report:
        result = _count(judged)
        report(f"{result.rows_in:,} rows, {len(result.days):,} days")
    checked = CheckedLogs(days, rejects, result.rows_in, result.rejected, {})
    require_usable(checked, settings, settings.logs.where)
    with staged_for_all(place_of(out), (REPORT_FILE,)) as stage:
        with stages("write the days"):
            writer = days.repartition(PARTITION).write.mode("append").option("maxRecordsPerFile", _ROWS_PER_FILE)
            writer.partitionBy(PARTITION).parquet(url(stage), compression="zstd")
            _require_all_days(spark, result, stage)
            if result.rejected:
                rejects.write.parquet(url(stage / REJECTS_FOLDER), compression="zstd")
        inputs.require_unchanged()
        write_text(stage / REPORT_FILE, json.dumps(asdict(result), indent=2) + "\n")
    return result


def _require_all_days(spark: SparkSession, result: PartitionedLogs, stage: Path) -> None:
    """Compare the rows that the driver sees with those that were counted. Cost: the metadata of the files."""
    written = spark.read.parquet(url(stage)).groupBy(PARTITION).count().collect() if result.days else []
    if {row[PARTITION]: row["count"] for row in written} != result.days:
        raise MachineError(
            f"{stage}: rows were lost: name a folder on a disk that all hosts of the cluster share, or a URL, and make "
            "sure that nothing writes to the logs"
        )


def _judged(raw: DataFrame, settings: Settings, names: Sequence[str], by: str, time_format: str | None) -> DataFrame:
    """Add the day of each row, or the rule that it breaks."""
    text = cleaned(column(by), settings.logs.missing)
    rule = F.when(F.col(CORRUPT).isNotNull(), "malformed").when(text.isNull(), "missing")
    day = F.date_format(timestamp(text, time_format), "yyyy-MM-dd")
    rule = rule.when(F.col(_DAY).isNull(), "not_a_timestamp")
    if settings.logs.format == "json":  # as text in Parquet it would pass for a value
        rule = rule.when(reduce(Column.__or__, map(is_nested, map(column, names))), "not_a_value")
    return raw.withColumn(_DAY, day).withColumn(_RULE, rule)


def _as_read(name: str, may_be_list: bool) -> Column:
    """A column as the jobs read it again: a list is the text of one."""
    if not may_be_list:
        return column(name)
    elements = F.split(F.substring(column(name), 2, 1 << 30), LIST)
    return F.when(column(name).startswith(LIST), F.to_json(elements)).otherwise(column(name)).alias(name)


def _rejects(judged: DataFrame, names: list[str], by: str) -> DataFrame:
    """Contract `REJECT_TABLE`."""
    rows = judged.where(F.col(_RULE).isNotNull()).select(
        F.col(_RULE).alias("rule"),
        F.when(F.col(_RULE).isin("missing", "not_a_timestamp"), by).alias("column"),
        F.coalesce(CORRUPT, F.to_json(F.struct(*map(column, names)))).alias("raw"),
        F.col(FILE).alias("file"),
    )
    return check_frame(rows, REJECT_TABLE)


def _count(judged: DataFrame) -> PartitionedLogs:
    counts = judged.groupBy(_RULE, F.when(F.col(_RULE).isNull(), F.col(_DAY)).alias(_DAY)).count().collect()
    days = {row[_DAY]: row["count"] for row in counts if row[_RULE] is None}
    rejected = {row[_RULE]: row["count"] for row in counts if row[_RULE] is not None}
    rows_in = sum(row["count"] for row in counts)
    return PartitionedLogs(rows_in, dict(sorted(rejected.items())), dict(sorted(days.items())))
