"""The files of the logs: one file, the files of a folder, or those that match a pattern."""

import glob
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.files.tree import FileTree, LogFile, Match

PARTITION = "dt"
_TABLES = {"_delta_log": "a Delta table", "metadata": "an Iceberg table", ".hoodie": "a Hudi table"}
"""Folders by which tables are recognised; in that of Iceberg, besides, there is a file `*.metadata.json`."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class LogSources:
    """What to read, and the files that this means."""

    paths: list[Location]
    """Files and folders to read."""
    base: Location
    """The folder above the first `dt=` partition."""
    files: list[LogFile]
    """All files, except hidden ones."""


def find_logs(tree: FileTree, logs: LogsSettings, *, is_night: bool = False) -> LogSources:
    """The files and folders to read, sorted. A path that exists is not a pattern, whatever characters it contains.

    Spark silently skips some files: hidden ones, files in subfolders that are no partitions, and files beside
    partitions. The first and the last are errors, the second are listed here.

    Args:
        is_night: whether the tree is that of one night, whose day need not be between the dates of the settings.

    Raises:
        LogsError: the path does not exist, the folder is empty, Spark would skip some of the files, or the storage
            does not answer.
    """
    matches = tree.matches()
    if not matches:
        raise LogsError(f"{tree.path}: no logs there; set logs.path")
    _require_no_table(matches)
    visible = [match for match in matches if not (match.is_file and _is_hidden(match.path.name))]
    if not visible:
        raise LogsError(f"{matches[0].path}: Spark skips names that begin with a dot or an underscore; rename the file")
    files = [_visible_files(match) for match in visible]
    all_files = [file for listed in files for file in listed]
    if not all_files:
        raise EmptyLogsError(f"{tree.path}: an empty folder; logs.path must hold {logs.format} files")
    _require_one_layout(all_files)
    if not is_night and (logs.first_date or logs.last_date):
        all_files = _between_dates(all_files, logs)
        paths = sorted({file.path.parent for file in all_files}, key=lambda folder: folder.parts)
    else:
        paths = [path for match, listed in zip(visible, files, strict=True) for path in _paths_to_read(match, listed)]
    return LogSources(paths, _base_folder(tree.path, matches[0]), all_files)


def _visible_files(match: Match) -> list[LogFile]:
    """The files that Spark reads: names that begin with a dot or an underscore are not logs."""
    if match.is_file:
        return match.files
    depth = len(match.path.parts)
    return [file for file in match.files if not any(map(_is_hidden, file.path.parts[depth:]))]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _paths_to_read(match: Match, files: list[LogFile]) -> list[Location]:
    folders = {file.path.parent for file in files}
    depth = len(match.path.parts)
    if match.is_file or all("=" in part for folder in folders for part in folder.parts[depth:]):
        return [match.path]
    return sorted(folders, key=lambda folder: folder.parts)


def _require_one_layout(files: list[LogFile]) -> None:
    outside = [file for file in files if not any(map(day_of, file.path.parents))]
    if outside and len(outside) < len(files):
        raise LogsError(f"{outside[0].path}: lies beside {PARTITION}= folders; move it into one of them")


def day_of(folder: Location) -> str | None:
    """The day in the name of a folder; None where it is no `dt=` partition."""
    name, _, value = folder.name.partition("=")
    return value if name == PARTITION else None


def _require_no_table(matches: list[Match]) -> None:
    """The files of a table are not its rows: removed ones stay there for a time."""
    for match in matches:
        for file in match.files:
            below = file.path.parts[len(match.path.parts) :]
            for mark, format_ in _TABLES.items():
                if mark in below[:-1] and (mark != "metadata" or file.path.name.endswith(".metadata.json")):
                    raise LogsError(
                        f"{match.path}: is {format_}, whose files also hold rows that were removed; register it in "
                        "Spark's catalogue and set logs.format: table"
                    )


def _between_dates(files: list[LogFile], logs: LogsSettings) -> list[LogFile]:
    """The files of the days between the dates of the settings; what lies in other days is not looked at.

    Days are compared as text, which is correct only if all have the same format.
    """
    _require_days(files)
    days = {file.path: next(filter(None, map(day_of, file.path.parents)), None) for file in files}
    if None in days.values():
        raise LogsError(
            f"{logs.path}: logs.first_date and logs.last_date need {PARTITION}=YYYY-MM-DD folders, none found"
        )
    first, last = (logs.first_date or date.min).isoformat(), (logs.last_date or date.max).isoformat()
    chosen = [file for file in files if first <= (days[file.path] or "") <= last]
    if not chosen:
        between = f"from {logs.first_date or 'the first day'} to {logs.last_date or 'the last'}"
        raise EmptyLogsError(f"{logs.path}: holds no rows {between}; correct logs.first_date and logs.last_date")
    return chosen


def _require_days(files: list[LogFile]) -> None:
    for folder in sorted({folder for file in files for folder in file.path.parents}, key=str):
        day = day_of(folder)
        if day is not None and not _DAY.fullmatch(day):
            raise LogsError(
                f"{folder}: logs.first_date and logs.last_date need folders named {PARTITION}=YYYY-MM-DD; rename it"
            )


def _base_folder(path: Location, first_match: Match) -> Location:
    exists = first_match.path == path
    fixed = path if exists else _above(path, next(filter(glob.has_magic, path.parts)))
    fixed = fixed.absolute() if isinstance(fixed, Path) else fixed
    partition = next((part for part in fixed.parts if part.startswith(f"{PARTITION}=")), None)
    if partition is not None:
        return _above(fixed, partition)
    return fixed.parent if exists and first_match.is_file else fixed


def _above(path: Location, part: str) -> Location:
    """The folder above the first occurrence of a part of the path."""
    return path.parents[len(path.parts) - path.parts.index(part) - 1]
