"""The files of the logs: one file, the files of a folder, or those that match a pattern."""

import glob
import hashlib
import re
from pathlib import Path

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.settings.data import LogsSettings

PARTITION = "dt"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def find_logs(logs: LogsSettings, night: Path | None = None) -> list[Path]:
    """The files and folders to read, sorted. A path that exists is not a pattern, whatever characters it contains.

    Spark silently skips some files: hidden ones, files in subfolders that are no partitions, and files beside
    partitions. The first and the last are errors, the second are listed here.

    Raises:
        LogsError: the path does not exist, the folder is empty, or Spark would skip some of the files.
    """
    path = night or logs.path
    matches = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(str(path)))]  # noqa: PTH207
    if not matches:
        raise LogsError(f"{path}: no logs there; set logs.path")
    visible = [match for match in matches if not (match.is_file() and _is_hidden(match.name))]
    if not visible:
        raise LogsError(f"{matches[0]}: Spark skips names that begin with a dot or an underscore; rename the file")
    files = {match: [match] if match.is_file() else log_files(match) for match in visible}
    all_files = [file for listed in files.values() for file in listed]
    if not all_files:
        raise EmptyLogsError(f"{path}: an empty folder; logs.path must hold {logs.format} files")
    _require_one_layout(all_files)
    if night is None and (logs.first_date or logs.last_date):
        _require_days(all_files)
    return [path for match, listed in files.items() for path in _paths_to_read(match, listed)]


def _paths_to_read(match: Path, files: list[Path]) -> list[Path]:
    folders = sorted({file.parent for file in files})
    if match.is_file() or all("=" in part for folder in folders for part in folder.relative_to(match).parts):
        return [match]
    return folders


def _require_one_layout(files: list[Path]) -> None:
    outside = [file for file in files if not any(map(_day_of, file.parents))]
    if outside and len(outside) < len(files):
        raise LogsError(f"{outside[0]}: lies beside {PARTITION}= folders; move it into one of them")


def _day_of(folder: Path) -> str | None:
    name, _, value = folder.name.partition("=")
    return value if name == PARTITION else None


def _require_days(files: list[Path]) -> None:
    """Days are compared as text, which is correct only if all have the same format."""
    for folder in sorted({folder for file in files for folder in file.parents}):
        day = _day_of(folder)
        if day is not None and not _DAY.fullmatch(day):
            raise LogsError(
                f"{folder}: logs.first_date and logs.last_date need folders named {PARTITION}=YYYY-MM-DD; rename it"
            )


def base_folder(path: Path) -> Path:
    """The folder above the first `dt=` partition of a path or pattern."""
    fixed = (path if path.exists() else _fixed_part(path)).absolute()
    first = next((index for index, part in enumerate(fixed.parts) if part.startswith(f"{PARTITION}=")), None)
    if first is not None:
        return Path(*fixed.parts[:first])
    return fixed.parent if fixed.is_file() else fixed


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first with a wildcard."""
    wild = next((index for index, part in enumerate(pattern.parts) if glob.has_magic(part)), len(pattern.parts))
    return Path(*pattern.parts[:wild])


def log_files(folder: Path) -> list[Path]:
    """The files below a folder that Spark reads: names that begin with a dot or an underscore are not logs."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if not any(map(_is_hidden, file.relative_to(folder).parts)))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def logs_fingerprint(logs: LogsSettings, night: Path | None = None) -> str | None:
    """Digest of the names, sizes and times of change of all files of the logs, or of a night; None for a table.

    Cost: one stat call per file; none is opened.
    """
    if logs.format == "table" and night is None:
        return None
    digest = hashlib.sha256()
    for path in find_logs(logs, night):
        for file in [path] if path.is_file() else log_files(path):
            if night or in_dates(file, logs):
                try:
                    entry = file.stat()
                except FileNotFoundError as error:
                    raise LogsError(f"{file}: was deleted while the logs were listed; run again") from error
                digest.update(f"{file.absolute()}\0{entry.st_size}\0{entry.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def in_dates(file: Path, logs: LogsSettings) -> bool:
    """Whether every `dt` partition of a file is between the dates of the settings."""
    first = "" if logs.first_date is None else logs.first_date.isoformat()
    days = [day for folder in file.parents if (day := _day_of(folder)) is not None]
    return all(first <= day and (logs.last_date is None or day <= logs.last_date.isoformat()) for day in days)
