"""Judging raw rows: each is either accepted or kept in the rejects table with a typed reason."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.settings import Settings
from afm_core.storage.locations import Location
from pipelines.contract_checks import check_frame
from pipelines.contracts import REJECT_STRUCT, REJECT_TABLE, events
from pipelines.logs.columns import CORRUPT, FILE, column
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reject_examples import example_of
from pipelines.logs.rules import REJECT, judge_logs

_CHANCE, _LEAST_USUAL = 1e-6, 0.5  # from 20 rows on, a column that is empty in all of them is no chance


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


def check_logs(
    raw: DataFrame,
    settings: Settings,
    columns: LogColumns,
    where: Location | str,
    usual: Mapping[str, float] | None = None,
) -> CheckedLogs:
    """Judge every row of `raw` (see `read_logs`) in one pass, and stop where too much of it is unusable.

    The pass over the input is cached; accepted events, rejects and counts all come from it.

    Args:
        where: the logs, for error messages.
        usual: of a night, by column, the share of events without a value that is usual; see `is_chance`.

    Raises:
        LogsError: no rows at all, a field empty in every row unless that may be chance, or more rejects than
            `logs.max_rejected`.
    """
    judged = judge_logs(raw, settings, columns).persist()
    rows_in, rejected, present = _count(judged, columns)
    checked = CheckedLogs(accepted_events(judged, columns), _rejects(judged, columns), rows_in, rejected, present)
    require_usable(checked, settings, where, usual)
    return checked


def check_counted(
    judged: DataFrame,
    rejects: DataFrame,
    settings: Settings,
    columns: LogColumns,
    where: Location | str,
    *,
    accepted: int,
    is_suspect: bool,
    usual: Mapping[str, float],
) -> CheckedLogs:
    """As `check_logs`, for a night that was counted while it was processed.

    Args:
        judged: the rows as `judge_logs` returns them.
        rejects: contract `REJECT_TABLE`, cached.
        where: the logs, for error messages.
        accepted: number of rows that break no rule.
        is_suspect: whether a column may be empty in every accepted event, which then takes another pass to find out.
        usual: by column, the share of events without a value that is usual; see `is_chance`.

    Raises:
        LogsError: as `check_logs`, but for a field that may be empty by chance.
    """
    reasons = rejects.groupBy("rule", "column").count().collect()  # one row per reason
    rejected = dict(sorted((_reason(row["rule"], row["column"]), row["count"]) for row in reasons))
    present = dict[str, int]()
    if is_suspect and not is_chance(0.0, accepted):
        _, _, present = _count(judged, columns)
    rows = accepted + sum(rejected.values())
    checked = CheckedLogs(accepted_events(judged, columns), rejects, rows, rejected, present)
    require_usable(checked, settings, where, usual)
    return checked


def is_chance(usual: float, rows: int) -> bool:
    """Whether so many rows may all lack a value although nothing is wrong with the logs.

    A renamed column is empty in every row, however many there are. A night of one row may lack what hardly any row
    lacks: rows of a small night are alike, so half of them are taken to lack a value even where fewer did.

    Args:
        usual: share of events without a value that is usual.
    """
    return bool(max(usual, _LEAST_USUAL) ** rows >= _CHANCE)


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
    rejected = judged.where(F.col(REJECT).isNotNull()).select(reject_row(columns).alias("_row"))
    return check_frame(rejected.select("_row.*"), REJECT_TABLE)


def reject_row(columns: LogColumns) -> Column:
    """Of a judged row, the row of contract `REJECT_TABLE` as a struct; null where it breaks no rule."""
    as_json = F.to_json(F.struct(*map(column, columns.names)))
    row = {
        "rule": F.col(f"{REJECT}.rule"),
        "column": F.col(f"{REJECT}.column"),
        "raw": F.coalesce(CORRUPT, as_json),
        "file": F.col(FILE),
    }
    as_struct = F.struct(*[row[name].alias(name) for name in REJECT_STRUCT.names]).cast(REJECT_STRUCT)
    return F.when(F.col(REJECT).isNotNull(), as_struct)


def _reason(rule: str, column: str | None) -> str:
    return f"{rule} {column}" if column else rule


def require_usable(
    checked: CheckedLogs, settings: Settings, where: Location | str, usual: Mapping[str, float] | None = None
) -> None:
    """Raise LogsError where there is no row, where too many are rejected, or where a field is empty in every row.

    Args:
        where: the logs, for error messages.
        usual: see `check_logs`.
    """
    if not checked.rows_in:
        raise EmptyLogsError(_no_rows(settings, where))
    _stop_if_too_many_rejects(checked, settings, where)
    for name, rows in checked.present.items():
        if not rows and (usual is None or not is_chance(usual.get(name, 0.0), checked.rows_accepted)):
            rows_accepted = f"{checked.rows_accepted:,}"
            raise LogsError(f"{where}: column {name} is absent or empty in all {rows_accepted} rows; correct fields")


def _no_rows(settings: Settings, where: Location | str) -> str:
    first, last = settings.logs.first_date, settings.logs.last_date
    if str(where) != settings.logs.where or not (first or last):
        return f"{where}: holds no rows; there is nothing to do"
    between = f"from {first or 'the first day'} to {last or 'the last'}"
    return f"{where}: holds no rows {between}; correct logs.first_date and logs.last_date"


def _stop_if_too_many_rejects(checked: CheckedLogs, settings: Settings, where: Location | str) -> None:
    rejected, rows_in = checked.rejected, checked.rows_in
    total, allowed = sum(rejected.values()), settings.logs.max_rejected
    if total > allowed * rows_in:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(rejected.items()))
        raise LogsError(
            f"{where}: {total:,} of {rows_in:,} rows rejected ({total / rows_in:.2%}; {reasons}), "
            f"allowed is logs.max_rejected = {allowed:.2%}; for example {example_of(checked.rejects, settings.logs)}; "
            "correct the logs, or allow more"
        )
    if total == rows_in:
        raise LogsError(
            f"{where}: all {rows_in:,} rows rejected ({', '.join(sorted(rejected))}); for example "
            f"{example_of(checked.rejects, settings.logs)}; correct the logs"
        )
