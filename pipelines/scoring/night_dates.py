"""Nights by date: their folders of logs and of results."""

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import date, timedelta
from itertools import dropwhile
from pathlib import Path

from afm_core.errors import AfmError, LogsError
from afm_core.storage.locations import Location
from pipelines.logs.files.tree import FileTree
from pipelines.logs.sources import PARTITION, require_nights_of_files

_DAY = timedelta(days=1)


def night_name(night: date) -> str:
    """Name of a night's folder."""
    return f"{PARTITION}={night.isoformat()}"


def night_folder(root: Path, night: date) -> Path:
    """Folder of a night below `root`."""
    return root / night_name(night)


def nights_in(tree: FileTree) -> list[date]:
    """The nights in a folder, oldest first. The first and the last are there; the server vouches for the others."""
    nights = sorted(_dates(tree.folder_names()))
    for _ in range(2):  # from the front, then from the back
        nights = list(dropwhile(lambda night: not tree.child(night_name(night)).is_folder(), nights))[::-1]
    return nights


def _dates(names: Sequence[str]) -> Iterator[date]:
    for name in names:
        partition, _, day = name.partition("=")
        if partition == PARTITION:
            try:
                yield date.fromisoformat(day)
            except ValueError:
                continue


def find_night(logs: FileTree, night: date) -> Location:
    """The folder of a night's logs.

    Raises:
        LogsError: there is none, and the message says which nights there are; or the logs are a table.
    """
    tree = logs.child(night_name(night))
    if tree.is_folder():
        require_nights_of_files(logs)
        return tree.path
    known = nights_in(logs)
    available = (
        f"the nights there are {known[0]} to {known[-1]}" if known else f"no {PARTITION}=YYYY-MM-DD folder is there"
    )
    raise LogsError(f"{logs.path}: no logs for {night.isoformat()}; {available}; correct --date or score.logs")


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


def missing_nights(
    logs: FileTree, published: Container[date], days: int, has_changed: Callable[[date, FileTree], bool]
) -> list[date]:
    """The nights of the last `days` days whose logs were not published, or not as they are now; oldest first.

    The last day is that of the newest logs, not of the clock, so that a wrong clock hides no night.
    """
    known = nights_in(logs)
    trees = {night: logs.child(night_name(night)) for night in known if (known[-1] - night).days < days}
    return [
        night
        for night, tree in trees.items()
        if (night not in published or has_changed(night, tree)) and tree.is_folder()
    ]
