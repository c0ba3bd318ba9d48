"""The command line of the jobs that process nights: which nights, and what to report of them."""

import argparse
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import TypeVar

from afm_core.errors import FailedNightsError, NothingToDoError
from afm_core.settings import Settings
from jobs._command import whole_number_from
from pipelines.logs.files.opening import file_tree
from pipelines.logs.files.tree import FileTree
from pipelines.scoring.night_dates import missing_nights, nights_between
from pipelines.scoring.night_freshness import logs_have_changed
from pipelines.scoring.night_task import NightTask, PublishedNight
from pipelines.scoring.run import NightOutcome
from pipelines.spark_on_demand import SparkOnDemand

M = TypeVar("M", bound=PublishedNight)


def add_night_options(command: argparse.ArgumentParser) -> None:
    """Add --date, --from, --to and --missing."""
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--date", type=_night, metavar="YYYY-MM-DD", help="the night to process")
    which.add_argument(
        "--from",
        dest="first",
        type=_night,
        metavar="YYYY-MM-DD",
        help="first of several nights, together with --to; published nights that are up to date are skipped",
    )
    which.add_argument(
        "--missing",
        type=whole_number_from(1),
        metavar="N",
        help="all nights of the last N days that are not published, or whose logs have changed since",
    )
    command.add_argument("--to", dest="last", type=_night, metavar="YYYY-MM-DD", help="last of several nights")


def requested_nights(
    settings: Settings, arguments: argparse.Namespace, task: NightTask[M], spark: SparkOnDemand
) -> list[date]:
    """The nights that the command line asks for.

    Args:
        task: what is done with them.

    Raises:
        AfmError: --from without --to or --to without --from, or a last night before the first.
        LogsError: with --missing, the storage of the logs does not answer.
    """
    if arguments.first is not None or arguments.last is not None:
        return nights_between(arguments.first, arguments.last)
    if arguments.missing is not None:
        logs = file_tree(settings.nightly.logs, spark)
        return missing_nights(logs, task.store.nights(), arguments.missing, partial(_has_changed, settings, task))
    return [arguments.date]


def _has_changed(settings: Settings, task: NightTask[M], night: date, logs: FileTree) -> bool:
    published = task.published(night)
    return logs_have_changed(published.made_from if published else None, settings, logs)


def require_any(nights: Sequence[date], arguments: argparse.Namespace) -> None:
    """Raise NothingToDoError where no night is missing."""
    if not nights:
        raise NothingToDoError(f"nothing to do: every night of the last {arguments.missing} days is published")


def raise_errors(outcomes: Sequence[NightOutcome[M]]) -> None:
    """Raise FailedNightsError where a night failed, and NothingToDoError where all were up to date."""
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if errors:
        raise FailedNightsError(errors)
    if all(outcome.skipped for outcome in outcomes):
        raise NothingToDoError("nothing to do: all nights are up to date with their logs, settings, software and model")


def _night(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, allowed are dates such as 2026-01-15") from None
