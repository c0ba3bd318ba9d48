"""Judging raw rows: each is either accepted or kept in the rejects table with a typed reason."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.settings import Settings
from pipelines.contracts import REJECTS, conform
from pipelines.logs.columns import CORRUPT, FILE, column
from pipelines.logs.reading import wanted_columns
from pipelines.logs.rules import REJECT, judge_logs


@dataclass(frozen=True)
class CheckedLogs:
    """Raw rows, judged: rows in = accepted + rejected."""

    accepted: DataFrame
    """Contract `log_columns`."""
    rejects: DataFrame
    """Contract `REJECTS`."""
    rows_in: int
    rejected: dict[str, int]
    """Rows by reason."""
    present: dict[str, int]
    """Accepted rows with a value, by column of the logs."""

    @property
    def rows_accepted(self) -> int:
        """Rows that went on."""
        return self.rows_in - sum(self.rejected.values())


@dataclass(frozen=True)
class WatchedLogs:
    """Raw rows that are judged while they are worked through."""

    accepted: DataFrame
    """Contract `log_columns`; for one action."""
    _judged: DataFrame
    _seen: Observation
    _settings: Settings
    _path: Path

    def outcome(self, accepted: int) -> CheckedLogs:
        """What was found, after the action on `accepted`. Rejects, if there are any, are looked for in a second pass.

        Args:
            accepted: rows that the action met.

        Raises:
            LogsError: as `check_logs`, or the logs were changed between the passes.
        """
        seen = self._seen.get
        # Tasks of a lost executor that ran again are seen twice where a shuffle follows them.
        as_seen = seen["accepted"] == accepted
        found = self._as_seen(seen) if as_seen else _count(self._judged.persist(), self._settings, labelled=False)
        if found.rows_accepted != accepted:
            raise LogsError(f"{self._path}: was changed while it was read; run again when nothing writes there")
        _stop_if_unusable(found, self._settings, self._path)
        return found

    def _as_seen(self, seen: dict[str, int]) -> CheckedLogs:
        present = {name: seen[f"n_{at}"] for at, name in enumerate(_read_columns(self._settings))}
        rejects, rejected = self._judged.sparkSession.createDataFrame([], REJECTS), dict[str, int]()
        if seen["accepted"] < seen["rows"]:
            rejects = _rejects(self._judged, self._settings).persist()
            rows = rejects.groupBy("rule", "column").count().collect()  # one row a reason
            rejected = {_reason(row["rule"], row["column"]): row["count"] for row in rows}
        return CheckedLogs(self.accepted, rejects, seen["rows"], dict(sorted(rejected.items())), present)


def check_logs(raw: DataFrame, settings: Settings, path: Path, labelled: bool = False) -> CheckedLogs:
    """Judge every row of `raw` in one pass, and stop where too much of it is unusable.

    The pass over the input is cached; accepted rows, rejects and counts all come from it.

    Raises:
        LogsError: no rows at all, a field empty in every row, or more rejects than `logs.max_rejected`.
    """
    found = _count(judge_logs(raw, settings, labelled).persist(), settings, labelled)
    _stop_if_unusable(found, settings, path)
    return found


def watch_logs(raw: DataFrame, settings: Settings, path: Path) -> WatchedLogs:
    """Judge every row of `raw` while the one pass over it does something else: nothing is read or kept for this.

    Args:
        path: of the logs, for messages.
    """
    judged, seen = judge_logs(raw, settings), Observation()
    is_accepted, read = F.col(REJECT).isNull(), _read_columns(settings)
    present = [F.count(F.when(is_accepted, column(name))).alias(f"n_{at}") for at, name in enumerate(read)]
    watched = judged.observe(seen, F.count(F.lit(1)).alias("rows"), F.count_if(is_accepted).alias("accepted"), *present)
    return WatchedLogs(_accepted(watched, settings), judged, seen, settings, path)


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
    return conform(rejects, REJECTS)


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
