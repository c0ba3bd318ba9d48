"""Gathering the rows of the ledger, so that reading it does not cost a file per night for ever.

Each past month becomes one file, and so does the present one whenever it has many. Files have new names: the gathered
rows are there before the files that held them are removed, and only files whose rows were read are removed. So whatever
is killed in between, and whoever gathers at the same time, as two runs on a bucket may, no row is lost.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import uuid4

from afm_core.storage.anywhere import move_aside, remove_file
from afm_core.storage.locations import Location
from pipelines.console import messages
from pipelines.scoring.monitoring.ledger import LEDGER, LedgerEntry, merged, read_files, write_entries

_ROW = re.compile(r"(?P<month>\d{6})\d{2}T\d{12}-[0-9a-f]{8}\.parquet")
_MONTH = re.compile(r"month-(?P<month>\d{6})-[0-9a-f]{8}\.parquet")
_MOST_ROWS_OF_THIS_MONTH = 100
_DAMAGED = ".damaged"


def gather_ledger(nights: Location) -> list[LedgerEntry]:
    """Read the ledger, set damaged files aside, and gather the others by month. Returns the rows, oldest first.

    Raises:
        OSError: a file cannot be written or removed; every row is still there.
        MachineError: remote storage does not answer, or does not let us write; every row is still there.
    """
    folder = nights / LEDGER
    files = read_files(folder, _set_aside)
    for month, names in _to_gather(files).items():
        write_entries(folder / f"month-{month}-{uuid4().hex[:8]}.parquet", merged(files[name] for name in names))
        for name in names:
            remove_file(folder / name)
    return merged(files.values())


def _to_gather(files: Mapping[str, Sequence[LedgerEntry]]) -> dict[str, list[str]]:
    """The files of each month that become one. What has another name is left alone."""
    rows, gathered = _by_month(_ROW, files), _by_month(_MONTH, files)
    newest = max([*rows, *gathered], default="")
    due = {}
    for month in sorted({*rows, *gathered}):
        is_due = len(rows[month]) > _MOST_ROWS_OF_THIS_MONTH if month == newest else bool(rows[month])
        if is_due or len(gathered[month]) > 1:
            due[month] = [*gathered[month], *rows[month]]
    return due


def _by_month(pattern: re.Pattern[str], files: Mapping[str, Sequence[LedgerEntry]]) -> defaultdict[str, list[str]]:
    months = defaultdict[str, list[str]](list)
    for name, rows in files.items():
        found = pattern.fullmatch(name)
        if found and rows:
            months[found["month"]].append(name)
    return months


def _set_aside(file: Location) -> None:
    aside = file.parent / f"{file.name}{_DAMAGED}"
    move_aside(file, aside)
    messages.print(f"  {file} was damaged, and its rows are lost; it is now {aside.name}, which nothing reads")
