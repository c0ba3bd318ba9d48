"""Nights of logs and nights of scores, by date."""

from datetime import date, timedelta
from pathlib import Path

from afm_core.errors import LogsError
from pipelines.logs.sources import PARTITION

_DAY = timedelta(days=1)


def night_folder(root: Path, night: date) -> Path:
    """Where a night lies under `root`."""
    return root / f"{PARTITION}={night.isoformat()}"


def nights_in(root: Path) -> list[date]:
    """The nights under `root`, oldest first."""
    found = []
    for folder in root.glob(f"{PARTITION}=*"):
        if folder.is_dir():
            try:
                found.append(date.fromisoformat(folder.name.partition("=")[2]))
            except ValueError:
                continue
    return sorted(found)


def find_night(logs: Path, night: date) -> Path:
    """The folder of a night's logs.

    Raises:
        LogsError: there is none; says which there are.
    """
    folder = night_folder(logs, night)
    if folder.is_dir():
        return folder
    known = nights_in(logs)
    there = f"the nights there are {known[0]} to {known[-1]}" if known else f"no {PARTITION}=YYYY-MM-DD folder is there"
    raise LogsError(f"{logs}: no logs for {night.isoformat()}; {there}; correct --date or score.logs")


def nights_between(first: date, last: date) -> list[date]:
    """Both ends included, oldest first; none where `last` is before `first`."""
    return [first + at * _DAY for at in range((last - first).days + 1)]


def missing_nights(logs: Path, scores: Path, days: int) -> list[date]:
    """The nights of the last `days` days that have logs but no scores, oldest first.

    The last day is that of the newest logs, not of the clock: a clock that is wrong hides no night.
    """
    known = nights_in(logs)
    published = set(nights_in(scores))
    return [night for night in known if night > known[-1] - days * _DAY and night not in published]
