"""What the jobs ask of the place where logs lie, whatever kind of storage that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from afm_core.storage.locations import Location


@dataclass(frozen=True)
class LogFile:
    """One file, as its folder lists it."""

    path: Location
    size: int
    """In bytes."""
    changed: int
    """Time of the last change in nanoseconds since 1970, as exact as the storage knows it."""

    @property
    def line(self) -> str:
        """One line that changes with the file."""
        path = self.path.absolute() if isinstance(self.path, Path) else self.path
        return f"{path}\0{self.size}\0{self.changed}\n"


@dataclass(frozen=True)
class Match:
    """A file or folder that a path or pattern names."""

    path: Location
    is_file: bool
    files: list[LogFile]
    """All files below a folder, sorted; the file itself."""


class FileTree(Protocol):
    """A file, a folder, or a pattern of them.

    Each method raises a LogsError where the storage does not answer, or refuses to.
    """

    @property
    def path(self) -> Location:
        """Where it lies."""

    def child(self, name: str) -> Self:
        """The file or folder of that name in this folder."""

    def matches(self) -> list[Match]:
        """What the path names, sorted. A path that exists is no pattern, whatever characters it contains.

        In a pattern `*`, `?` and `[...]` match within one name, and no leading dot. Cost: one listing for each match,
        and one for each folder in which a name is compared with a pattern; no file is opened or asked for by itself.
        """

    def is_folder(self) -> bool:
        """Whether it is a folder; in a bucket, where folders are parts of names, one with files in it."""

    def folder_names(self) -> list[str]:
        """Names of the folders in this folder, sorted; none where it does not exist. One listing.

        Some servers still list a folder of a bucket after its last file was deleted; ask `is_folder`.
        """

    def first_lines(self, files: Sequence[Location]) -> list[bytes | None]:
        """The first line that is not blank of files below this path, decompressed; empty where there is none.

        None where only Spark can decompress the file. Cost: one small read per file.

        Raises:
            LogsError: a file cannot be read.
        """

    def read(self) -> bytes:
        """Content of the file.

        Raises:
            LogsError: there is no such file, or it cannot be read.
        """
