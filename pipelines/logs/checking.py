"""Judging raw rows: each is either accepted or kept in the rejects table with a typed reason."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.settings import Settings
from afm_core.storage.locations import Location
from pipelines.contract_checks import check_frame
from pipelines.contracts import REJECT_TABLE, events
from pipelines.logs.columns import CORRUPT, FILE, column
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.rules import REJECT, judge_logs


@dataclass(frozen=True)
class CheckedLogs:
    """Judged rows: rows in = accepted + rejected."""

    accepted: DataFrame
    """Contract `events`."""
    rejects: DataFrame
    """Contract `REJECT_TABLE`."""
    rows_in: int
    rejected: dict[str, int]
    """Number of rejected rows by reason."""
    present: dict[str, int]
    """Number of accepted events with a value, by column of the logs."""

    @property
    def rows_accepted(self) -> int:
        """Number of accepted events."""
        return self.rows_in - sum(self.rejected.values())


def check_logs(raw: DataFrame, settings: Settings, columns: LogColumns, path: Location) -> CheckedLogs:
    """Judge every row of `raw` (see `read_logs`) in one pass, and stop where too much of it is unusable.

    The pass over the input is cached; accepted events, rejects and counts all come from it.

    Args:
        path: the logs, for error messages.

    Raises:
        LogsError: no rows at all, a field empty in every row, or more rejects than `logs.max_rejected`.
    """
    judged = judge_logs(raw, settings, columns).persist()
    rows_in, rejected, present = _count(judged, columns)
    checked = CheckedLogs(accepted_events(judged, columns), _rejects(judged, columns), rows_in, rejected, present)
    _stop_if_unusable(checked, settings, path)
    return checked


def check_counted(
    judged: DataFrame,
    settings: Settings,
    columns: LogColumns,
    path: Location,
    *,
    rows: int,
    accepted: int,
    is_suspect: bool,
) -> CheckedLogs:
    """As `check_logs`, for logs that were counted while they were processed. Rejects, if any, take another pass.

    Args:
        judged: the rows as `judge_logs` returns them.
        path: the logs, for error messages.
        rows: number of all rows.
        accepted: number of rows that break no rule.
        is_suspect: whether a column may be empty in every accepted event, which then takes another pass to find out.

    Raises:
        LogsError: as `check_logs`, or the logs changed between the passes.
    """
    rejects = judged.sparkSession.createDataFrame([], REJECT_TABLE.schema)
    rejected, present = dict[str, int](), dict[str, int]()
    if accepted < rows:
        rejects = _rejects(judged, columns).persist()
        reasons = rejects.groupBy("rule", "column").count().collect()  # one row per reason
        rejected = dict(sorted((_reason(row["rule"], row["column"]), row["count"]) for row in reasons))
    if is_suspect:
        _, _, present = _count(judged, columns)
    checked = CheckedLogs(accepted_events(judged, columns), rejects, rows, rejected, present)
    if checked.rows_accepted != accepted:
        raise LogsError(f"{path}: changed while it was being read; run again when nothing writes there")
    _stop_if_unusable(checked, settings, path)
    return checked


def accepted_events(judged: DataFrame, columns: LogColumns) -> DataFrame:
    """Contract `events`: the rows that break no rule."""
    return check_frame(judged.where(F.col(REJECT).isNull()), events(columns.names))


def _count(judged: DataFrame, columns: LogColumns) -> tuple[int, dict[str, int], dict[str, int]]:
    """Count judged rows in one pass: all rows, rejected rows by reason, and accepted values by column."""
    sources = columns.field_sources
    counts = judged.groupBy(f"{REJECT}.rule", f"{REJECT}.column").agg(
        F.count(F.lit(1)).alias("rows"),
        *[F.count(column(name)).alias(f"n_{position}") for position, name in enumerate(sources)],
    )
    rows = counts.collect()  # one row per reason
    rows_in = sum(row["rows"] for row in rows)
    rejected = {_reason(row["rule"], row["column"]): row["rows"] for row in rows if row["rule"] is not None}
    present = {
        name: sum(row[f"n_{position}"] for row in rows if row["rule"] is None) for position, name in enumerate(sources)
    }
    return rows_in, dict(sorted(rejected.items())), present


def _rejects(judged: DataFrame, columns: LogColumns) -> DataFrame:
    as_json = F.to_json(F.struct(*map(column, columns.names)))
    rejects = judged.where(F.col(REJECT).isNotNull()).select(
        f"{REJECT}.rule", f"{REJECT}.column", F.coalesce(CORRUPT, as_json).alias("raw"), F.col(FILE).alias("file")
    )
    return check_frame(rejects, REJECT_TABLE)


def _reason(rule: str, column: str | None) -> str:
    return f"{rule} {column}" if column else rule


def _stop_if_unusable(checked: CheckedLogs, settings: Settings, path: Location) -> None:
    if not checked.rows_in:
        raise EmptyLogsError(_no_rows(settings, path))
    _stop_if_too_many_rejects(checked.rejected, checked.rows_in, settings, path)
    for name, rows in checked.present.items():
        if not rows:
            rows_accepted = f"{checked.rows_accepted:,}"
            raise LogsError(f"{path}: column {name} is absent or empty in all {rows_accepted} rows; correct fields")


def _no_rows(settings: Settings, path: Location) -> str:
    first, last = settings.logs.first_date, settings.logs.last_date
    if path != settings.logs.path or not (first or last):
        return f"{path}: holds no rows; there is nothing to do"
    between = f"from {first or 'the first day'} to {last or 'the last'}"
    return f"{path}: holds no rows {between}; correct logs.first_date and logs.last_date"


def _stop_if_too_many_rejects(rejected: dict[str, int], rows_in: int, settings: Settings, path: Location) -> None:
    total, allowed = sum(rejected.values()), settings.logs.max_rejected
    if total > allowed * rows_in:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(rejected.items()))
        raise LogsError(
            f"{path}: {total:,} of {rows_in:,} rows rejected ({total / rows_in:.2%}; {reasons}), "
            f"allowed is logs.max_rejected = {allowed:.2%}; correct the logs, or allow more"
        )
    if total == rows_in:
        raise LogsError(f"{path}: all {rows_in:,} rows rejected ({', '.join(sorted(rejected))}); correct the logs")
