"""Whether each split of a dataset has rows, and why not."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.errors import LogsError
from afm_core.settings import Settings
from pipelines.console import messages
from pipelines.logs.columns import column
from pipelines.logs.values import timestamp

_FEW = 100
"""Instances from which an empty split is no longer chance."""


def require_every_split(rows: Mapping[str, int], settings: Settings, events: DataFrame) -> None:
    """Check that no split is empty. Of a handful of instances, one may be by chance: then a line is printed.

    Args:
        rows: of each split.
        events: the accepted events, read only to name the cause.

    Raises:
        LogsError: with the cause.
    """
    empty = [name for name, count in rows.items() if not count and (name != "test" or settings.split.has_test)]
    if not empty:
        return
    split, total = settings.split, sum(rows.values())
    problem = f"{settings.logs.where}: split.by {split.by}: no rows in {' and '.join(empty)}"
    match split.by:
        case "time":
            raise LogsError(f"{problem}; {_last_days(settings, events)}")
        case "leave_one_out":
            raise LogsError(
                f"{problem}; test is the last positive of each value of {split.of}, valid the one before it, train all "
                f"others: no value has enough of them; use more logs, or split.by: time or random"
            )
        case "column":
            raise LogsError(f"{problem}; no accepted row says so in column {split.column}; correct the logs")
        case "random" | "positive" if total < _FEW:
            messages.print(f"  {problem.removeprefix(f'{settings.logs.where}: ')}, of {total} instances in all")
        case _:
            raise LogsError(f"{problem}, of {total:,} instances in all; use more logs, or other shares")


def _last_days(settings: Settings, events: DataFrame) -> str:
    split = settings.split
    time = timestamp(column(split.time_source or ""), split.time_format)
    seconds = events.agg(F.max(F.unix_seconds(time)), F.min(F.unix_seconds(time))).first()
    assert seconds is not None
    last, first = (datetime.fromtimestamp(value, UTC).date() for value in seconds)
    days = split.test_days + split.valid_days
    return (
        f"the last log is of {last}, the first of {first}, and the last {days} days are valid and test; correct the "
        f"clock of the last log, or set split.valid_days and split.test_days"
    )
