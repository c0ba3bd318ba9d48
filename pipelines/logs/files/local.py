"""Files on this machine or on a mounted file system."""

import glob
import stat
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from afm_core.errors import LogsError
from afm_core.storage.locations import Location
from pipelines.logs.files.first_lines import first_local_line
from pipelines.logs.files.tree import LogFile, Match


@dataclass(frozen=True)
class LocalTree:
    """A local file, folder or pattern; a `pipelines.logs.files.tree.FileTree`."""

    path: Path

    def child(self, name: str) -> Self:
        """The file or folder of that name in this folder."""
        return type(self)(self.path / name)

    def matches(self) -> list[Match]:
        """What the path names, sorted."""
        if self.path.exists():
            return [_match(self.path)]
        return [_match(Path(path)) for path in sorted(glob.glob(str(self.path)))]  # noqa: PTH207

    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.is_dir()

    def folder_names(self) -> list[str]:
        """Names of the folders in this folder, sorted; none where it does not exist."""
        return sorted(entry.name for entry in self.path.glob("*") if entry.is_dir())

    def first_lines(self, files: Sequence[Location]) -> list[bytes | None]:
        """The first line that is not blank of each file.

        Raises:
            LogsError: a file cannot be read.
        """
        return [_first_line(Path(str(file))) for file in files]

    def read(self) -> bytes:
        """Content of the file.

        Raises:
            LogsError: it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise LogsError(f"{self.path}: cannot be read: {error.strerror}") from error


def _first_line(path: Path) -> bytes | None:
    try:
        return first_local_line(path)
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise LogsError(f"{path}: cannot be read: {reason}; repair the file or take it away") from error


def _match(path: Path) -> Match:
    file = _file(path)
    if file is not None:
        return Match(path, True, [file])
    return Match(path, False, sorted(filter(None, map(_file, path.rglob("*"))), key=lambda file: file.path.parts))


def _file(path: Path) -> LogFile | None:
    """None for a folder, for a broken link, and for what was deleted after it was listed."""
    try:
        status = path.stat()
    except PermissionError:
        raise
    except OSError:
        return None
    return LogFile(path, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
