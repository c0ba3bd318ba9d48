"""Whether logs are the same as before, without reading them."""

import hashlib

from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.files.tree import FileTree
from pipelines.logs.sources import day_of, find_logs


def logs_fingerprint(tree: FileTree, logs: LogsSettings, *, is_night: bool = False) -> str | None:
    """Digest of the names, sizes and times of change of all files of the logs, or of a night; None for a table.

    Cost: one listing; no file is opened.

    Raises:
        LogsError: as `find_logs`.
    """
    if logs.format == "table" and not is_night:
        return None
    files = find_logs(tree, logs, is_night=is_night).files
    lines = "".join(file.line for file in files if is_night or in_dates(file.path, logs))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def in_dates(file: Location, logs: LogsSettings) -> bool:
    """Whether every `dt` partition of a file is between the dates of the settings."""
    first = "" if logs.first_date is None else logs.first_date.isoformat()
    days = [day for folder in file.parents if (day := day_of(folder)) is not None]
    return all(first <= day and (logs.last_date is None or day <= logs.last_date.isoformat()) for day in days)
