"""Nights by date: their folders of logs and of results."""

from datetime import date, timedelta
from pathlib import Path

from afm_core.errors import AfmError, LogsError
from pipelines.logs.sources import PARTITION

_DAY = timedelta(days=1)


def night_folder(root: Path, night: date) -> Path:
    """Folder of a night below `root`."""
    return root / f"{PARTITION}={night.isoformat()}"


def nights_in(root: Path) -> list[date]:
    """The nights below `root`, oldest first."""
    nights = []
    for folder in root.glob(f"{PARTITION}=*"):
        if folder.is_dir():
            try:
                nights.append(date.fromisoformat(folder.name.partition("=")[2]))
            except ValueError:
                continue
    return sorted(nights)


def find_night(logs: Path, night: date) -> Path:
    """The folder of a night's logs.

    Raises:
        LogsError: there is none; the message says which nights there are.
    """
    folder = night_folder(logs, night)
    if folder.is_dir():
        return folder
    known = nights_in(logs)
    available = (
        f"the nights there are {known[0]} to {known[-1]}" if known else f"no {PARTITION}=YYYY-MM-DD folder is there"
    )
    raise LogsError(f"{logs}: no logs for {night.isoformat()}; {available}; correct --date or score.logs")


def nights_between(first: date | None, last: date | None) -> list[date]:
    """All nights from the first to the last, both included.

    Raises:
        AfmError: one of them is missing, or the last is before the first.
    """
    if first is None or last is None:
        raise AfmError("--from and --to name the first and the last night; give both")
    nights = [first + days * _DAY for days in range((last - first).days + 1)]
    if not nights:
        raise AfmError(f"--from {first} --to {last}: the last night is before the first")
    return nights


def missing_nights(logs: Path, published: Path, days: int) -> list[date]:
    """The nights of the last `days` days that have logs but were not published, oldest first.

    The last day is that of the newest logs, not of the clock, so that a wrong clock hides no night.
    """
    known, done = nights_in(logs), set(nights_in(published))
    return [night for night in known if (known[-1] - night).days < days and night not in done]
