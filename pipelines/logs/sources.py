"""Which files the settings mean: one, a folder's, or those that match a pattern."""

import glob
import hashlib
import re
from pathlib import Path

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.settings.data import LogsSettings

PARTITION = "dt"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def find_logs(logs: LogsSettings, night: Path | None = None) -> list[Path]:
    """The files and folders to read, sorted; a path that exists is taken as it is, whatever characters it holds.

    Spark would read past some files without a word: hidden ones that were asked for, files in folders below that are
    no partitions, files beside partitions. The first and the last are errors, the second are found here.

    Raises:
        LogsError: nothing there, a folder without files, or files that Spark would leave out.
    """
    path = night or logs.path
    found = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(str(path)))]  # noqa: PTH207
    if not found:
        raise LogsError(f"{path}: no logs there; set logs.path")
    shown = [place for place in found if not (place.is_file() and _is_hidden(place.name))]
    if not shown:
        raise LogsError(f"{found[0]}: Spark reads past names that begin with a dot or an underscore; rename the file")
    files = {place: [place] if place.is_file() else log_files(place) for place in shown}
    every = [file for listed in files.values() for file in listed]
    if not every:
        raise EmptyLogsError(f"{path}: an empty folder; logs.path must hold {logs.format} files")
    _require_one_layout(every)
    if night is None and (logs.first_date or logs.last_date):
        _require_days(every)
    return [read for place, listed in files.items() for read in _places_to_read(place, listed)]


def _places_to_read(place: Path, files: list[Path]) -> list[Path]:
    folders = sorted({file.parent for file in files})
    if place.is_file() or all("=" in part for folder in folders for part in folder.relative_to(place).parts):
        return [place]
    return folders


def _require_one_layout(files: list[Path]) -> None:
    outside = [file for file in files if not any(map(_day_of, file.parents))]
    if outside and len(outside) < len(files):
        raise LogsError(f"{outside[0]}: lies outside the {PARTITION}= folders that are beside it; move it into one")


def _day_of(folder: Path) -> str | None:
    name, _, value = folder.name.partition("=")
    return value if name == PARTITION else None


def _require_days(files: list[Path]) -> None:
    """Days are compared as text, which is right only where all are written alike."""
    for folder in sorted({folder for file in files for folder in file.parents}):
        day = _day_of(folder)
        if day is not None and not _DAY.fullmatch(day):
            raise LogsError(
                f"{folder}: logs.first_date and logs.last_date need folders named {PARTITION}=YYYY-MM-DD; rename it"
            )


def base_folder(path: Path) -> Path:
    """Where the folders begin whose names are partitions: above the first `dt=`, whether `path` is a pattern or not."""
    fixed = (path if path.exists() else _fixed_part(path)).absolute()
    at = next((at for at, part in enumerate(fixed.parts) if part.startswith(f"{PARTITION}=")), None)
    if at is not None:
        return Path(*fixed.parts[:at])
    return fixed.parent if fixed.is_file() else fixed


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first that holds a wildcard."""
    wild = next((at for at, part in enumerate(pattern.parts) if glob.has_magic(part)), len(pattern.parts))
    return Path(*pattern.parts[:wild])


def log_files(folder: Path) -> list[Path]:
    """The files below a folder that Spark reads: names that begin with a dot or an underscore are not logs."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if not any(map(_is_hidden, file.relative_to(folder).parts)))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def logs_fingerprint(logs: LogsSettings, night: Path | None = None) -> str | None:
    """Digest of the names, sizes and times of change of all files of the logs, or of a night; None for a table.

    Cost: a look at each file's entry, none is opened.
    """
    if logs.format == "table" and night is None:
        return None
    digest = hashlib.sha256()
    for place in find_logs(logs, night):
        for file in [place] if place.is_file() else log_files(place):
            if night or in_dates(file, logs):
                try:
                    entry = file.stat()
                except FileNotFoundError as error:
                    raise LogsError(f"{file}: was deleted while the logs were listed; start again") from error
                digest.update(f"{file.absolute()}\0{entry.st_size}\0{entry.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def in_dates(file: Path, logs: LogsSettings) -> bool:
    """Whether a file is in none but the wanted `dt` partitions."""
    first = "" if logs.first_date is None else logs.first_date.isoformat()
    days = [day for folder in file.parents if (day := _day_of(folder)) is not None]
    return all(first <= day and (logs.last_date is None or day <= logs.last_date.isoformat()) for day in days)
