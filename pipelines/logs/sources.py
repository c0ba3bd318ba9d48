"""The files of the logs: one file, the files of a folder, or those that match a pattern."""

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from afm_core.errors import EmptyLogsError, LogsError, OutsideDatesError
from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.files.tree import FileTree, LogFile, Match

PARTITION = "dt"
_TABLES = {"_delta_log": "a Delta table", "metadata": "an Iceberg table", ".hoodie": "a Hudi table"}
"""Folders by which tables are recognised; that of Iceberg must hold a file `*.metadata.json`."""
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


def find_all_logs(
    trees: Sequence[FileTree], logs: LogsSettings, *, is_night: bool = False
) -> list[tuple[FileTree, LogSources]]:
    """As `find_logs`, in several places. Those without logs between the dates of the settings are left out.

    Raises:
        LogsError: as `find_logs`; there is none between the dates; or two of the places name the same file.
    """
    found, outside, seen = list[tuple[FileTree, LogSources]](), list[OutsideDatesError](), set[str]()
    for tree in trees:
        try:
            sources = find_logs(tree, logs, is_night=is_night)
        except OutsideDatesError as error:
            outside.append(error)
            continue
        for file in sources.files if len(trees) > 1 else ():
            name = os.path.realpath(file.path) if isinstance(file.path, Path) else str(file.path)
            if name in seen:
                raise LogsError(f"{file.path}: is named by two paths, and would be read twice; correct logs.path")
            seen.add(name)
        found.append((tree, sources))
    if not found:
        raise outside[0]
    return found


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
    by_match = list(zip(visible, files, strict=True))
    if not is_night and (logs.first_date or logs.last_date):
        _require_days(all_files, tree.path)
        by_match = [(match, [file for file in listed if _in_dates(file.path, logs)]) for match, listed in by_match]
        all_files = [file for _, listed in by_match for file in listed]
        if not all_files:
            between = f"from {logs.first_date or 'the first day'} to {logs.last_date or 'the last'}"
            raise OutsideDatesError(f"{tree.path}: holds no rows {between}; correct logs.first_date and logs.last_date")
        paths = [path for match, listed in by_match for path in _folders_or_file(match, listed)]
    else:
        paths = [path for match, listed in by_match for path in _paths_to_read(match, listed)]
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
    depth = len(match.path.parts)
    if all("=" in part for file in files for part in file.path.parent.parts[depth:]):
        return [match.path]
    return _folders_or_file(match, files)


def _folders_or_file(match: Match, files: list[LogFile]) -> list[Location]:
    """The folders of the files; where a pattern names files, these alone."""
    if match.is_file:
        return [file.path for file in files]
    return sorted({file.path.parent for file in files}, key=lambda folder: folder.parts)


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
            folders, name = file.path.parts[len(match.path.parts) : -1], file.path.name
            for mark, format_ in _TABLES.items():
                if mark in folders and (mark != "metadata" or name.endswith(".metadata.json")):
                    raise _is_table(match.path, format_)


def require_nights_of_files(nights: FileTree) -> None:
    """Raise LogsError where the folder of the nights is a table, whose folder of a night does not show it.

    Cost: a few look-ups; the files of the nights are not listed.
    """
    for mark, format_ in _TABLES.items():
        folder = nights.child(mark)
        if folder.is_folder() and (
            mark != "metadata"
            or any(file.path.name.endswith(".metadata.json") for match in folder.matches() for file in match.files)
        ):
            raise _is_table(nights.path, format_)


def _is_table(path: Location, format_: str) -> LogsError:
    return LogsError(
        f"{path}: is {format_}, whose files also hold rows that were removed; register it in Spark's catalogue and set "
        "logs.format: table, or write its rows to folders of files"
    )


def _require_days(files: list[LogFile], path: Location) -> None:
    """Days are compared as text, which is correct only if every file has one and all have the same format."""
    if not all(any(map(day_of, file.path.parents)) for file in files):
        raise LogsError(f"{path}: logs.first_date and logs.last_date need {PARTITION}=YYYY-MM-DD folders, none found")
    for folder in sorted({folder for file in files for folder in file.path.parents}, key=str):
        day = day_of(folder)
        if day is not None and not _DAY.fullmatch(day):
            raise LogsError(
                f"{folder}: logs.first_date and logs.last_date need folders named {PARTITION}=YYYY-MM-DD; rename it"
            )


def _in_dates(file: Location, logs: LogsSettings) -> bool:
    """Whether every `dt` partition of a file is between the dates of the settings."""
    first, last = (logs.first_date or date.min).isoformat(), (logs.last_date or date.max).isoformat()
    return all(first <= day <= last for day in map(day_of, file.parents) if day is not None)


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
