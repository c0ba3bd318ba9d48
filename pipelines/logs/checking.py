"""Judging raw rows: each is either accepted or kept in the rejects table with a typed reason."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.settings import Settings
from pipelines.contracts import REJECT_TABLE, conform
from pipelines.logs.columns import CORRUPT, FILE, column
from pipelines.logs.reading import wanted_columns
from pipelines.logs.rules import REJECT, judge_logs


@dataclass(frozen=True)
class CheckedLogs:
    """Raw rows, judged: rows in = accepted + rejected."""

    accepted: DataFrame
    """Contract `log_columns`."""
    rejects: DataFrame
    """Contract `REJECT_TABLE`."""
    rows_in: int
    rejected: dict[str, int]
    """Rows by reason."""
    present: dict[str, int]
    """Accepted rows with a value, by column of the logs."""

    @property
    def rows_accepted(self) -> int:
        """Rows that went on."""
        return self.rows_in - sum(self.rejected.values())


def check_logs(raw: DataFrame, settings: Settings, path: Path, labelled: bool = False) -> CheckedLogs:
    """Judge every row of `raw` in one pass, and stop where too much of it is unusable.

    The pass over the input is cached; accepted rows, rejects and counts all come from it.

    Raises:
        LogsError: no rows at all, a field empty in every row, or more rejects than `logs.max_rejected`.
    """
    found = _count(judge_logs(raw, settings, labelled).persist(), settings, labelled)
    _stop_if_unusable(found, settings, path)
    return found


def check_counted(
    judged: DataFrame, settings: Settings, path: Path, rows: int, accepted: int, is_suspect: bool
) -> CheckedLogs:
    """As `check_logs`, of logs that somebody has counted on the way. Rejects, if there are any, are another pass.

    Args:
        judged: `judge_logs` of the logs.
        path: of the logs, for messages.
        rows: how many there were,
        accepted: and how many of them broke no rule.
        is_suspect: whether a column may be empty in every accepted row; it is looked at then.

    Raises:
        LogsError: as `check_logs`, or the logs were changed between the passes.
    """
    spark = judged.sparkSession
    rejects, rejected, present = spark.createDataFrame([], REJECT_TABLE), dict[str, int](), dict[str, int]()
    if accepted < rows:
        rejects = _rejects(judged, settings).persist()
        reasons = rejects.groupBy("rule", "column").count().collect()  # one row a reason
        rejected = dict(sorted((_reason(row["rule"], row["column"]), row["count"]) for row in reasons))
    if is_suspect:
        present = _count(judged, settings, labelled=False).present
    found = CheckedLogs(_accepted(judged, settings), rejects, rows, rejected, present)
    if found.rows_accepted != accepted:
        raise LogsError(f"{path}: was changed while it was read; run again when nothing writes there")
    _stop_if_unusable(found, settings, path)
    return found


def _count(judged: DataFrame, settings: Settings, labelled: bool) -> CheckedLogs:
    """Count in one pass over judged rows."""
    read = _read_columns(settings)
    counts = judged.groupBy(f"{REJECT}.rule", f"{REJECT}.column").agg(
        F.count(F.lit(1)).alias("rows"), *[F.count(column(name)).alias(f"n_{at}") for at, name in enumerate(read)]
    )
    rows = counts.collect()  # one row a reason
    rows_in = sum(row["rows"] for row in rows)
    rejected = {_reason(row["rule"], row["column"]): row["rows"] for row in rows if row["rule"] is not None}
    present = {name: sum(row[f"n_{at}"] for row in rows if row["rule"] is None) for at, name in enumerate(read)}
    accepted, rejects = _accepted(judged, settings, labelled), _rejects(judged, settings, labelled)
    return CheckedLogs(accepted, rejects, rows_in, dict(sorted(rejected.items())), present)


def _accepted(judged: DataFrame, settings: Settings, labelled: bool = False) -> DataFrame:
    """Contract `log_columns` of the rows that break no rule."""
    return judged.where(F.col(REJECT).isNull()).select(*map(column, wanted_columns(settings, labelled)))


def _rejects(judged: DataFrame, settings: Settings, labelled: bool = False) -> DataFrame:
    as_json = F.to_json(F.struct(*map(column, wanted_columns(settings, labelled))))
    rejects = judged.where(F.col(REJECT).isNotNull()).select(
        f"{REJECT}.rule", f"{REJECT}.column", F.coalesce(CORRUPT, as_json).alias("raw"), F.col(FILE).alias("file")
    )
    return conform(rejects, REJECT_TABLE)


def _read_columns(settings: Settings) -> list[str]:
    return list(dict.fromkeys(source for field in settings.fields for source in field.sources))


def _reason(rule: str, column: str | None) -> str:
    return f"{rule} {column}" if column else rule


def _stop_if_unusable(found: CheckedLogs, settings: Settings, path: Path) -> None:
    if not found.rows_in:
        raise EmptyLogsError(_no_rows(settings, path))
    _stop_if_too_many(found.rejected, found.rows_in, settings, path)
    for name, rows in found.present.items():
        if not rows:
            rows_accepted = f"{found.rows_accepted:,}"
            raise LogsError(f"{path}: column {name} is absent or empty in all {rows_accepted} rows; correct fields")


def _no_rows(settings: Settings, path: Path) -> str:
    first, last = settings.logs.first_date, settings.logs.last_date
    if path != settings.logs.path or not (first or last):
        return f"{path}: holds no rows; there is nothing to do"
    between = f"from {first or 'the first day'} to {last or 'the last'}"
    return f"{path}: holds no rows {between}; correct logs.first_date and logs.last_date"


def _stop_if_too_many(rejected: dict[str, int], rows_in: int, settings: Settings, path: Path) -> None:
    total, allowed = sum(rejected.values()), settings.logs.max_rejected
    if total > allowed * rows_in:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(rejected.items()))
        raise LogsError(
            f"{path}: {total:,} of {rows_in:,} rows rejected ({total / rows_in:.2%}; {reasons}), "
            f"allowed is logs.max_rejected = {allowed:.2%}; correct the logs, or allow more"
        )
    if total == rows_in:
        raise LogsError(f"{path}: all {rows_in:,} rows rejected ({', '.join(sorted(rejected))}); correct the logs")
