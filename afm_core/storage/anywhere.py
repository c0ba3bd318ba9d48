"""Files by location: on this machine, or in an object store or HDFS."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from afm_core.storage.locations import Location
from afm_core.storage.object_store import (
    create_object,
    delete_object,
    folders_in,
    objects_below,
    read_object,
    write_object,
)


def read_file(path: Location) -> bytes | None:
    """The content of a file, None where there is none.

    Raises:
        OSError: it cannot be read.
        MachineError: remote storage cannot be reached, or does not let us read.
    """
    if isinstance(path, Path):
        return path.read_bytes() if path.exists() else None
    found = read_object(str(path))
    return None if found is None else found.content


def file_names(folder: Location) -> list[str]:
    """Names of the files in a folder, sorted; none where it does not exist. Hidden ones are left out.

    Raises:
        OSError: the folder cannot be listed.
        MachineError: remote storage cannot be reached, or does not let us read.
    """
    if isinstance(folder, Path):
        try:
            with os.scandir(folder) as found:  # asks for no file by itself, which may be gone since
                return sorted(entry.name for entry in found if not entry.name.startswith(".") and entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return []
    return [name for name in objects_below(str(folder)) if "/" not in name and not name.startswith(".")]


def folder_names(folder: Location) -> list[str]:
    """Names of the folders in a folder, sorted; none where it does not exist.

    Raises:
        MachineError: remote storage cannot be reached, or does not let us read.
    """
    if isinstance(folder, Path):
        return sorted(path.name for path in folder.glob("*") if path.is_dir())
    return folders_in(str(folder))


def remove_file(path: Location) -> None:
    """Remove a file; nothing happens where there is none.

    Raises:
        OSError: it cannot be removed.
        MachineError: remote storage cannot be reached, or does not let us delete.
    """
    if isinstance(path, Path):
        path.unlink(missing_ok=True)
    else:
        delete_object(str(path))


def move_aside(path: Location, aside: Location) -> None:
    """Give a file another name in its folder. In remote storage it may be under both for a moment.

    Raises:
        OSError: it cannot be renamed.
        MachineError: remote storage cannot be reached, or does not let us write.
    """
    if isinstance(path, Path):
        path.rename(path.with_name(aside.name))
    else:
        write_object(str(aside), read_file(path) or b"")
        delete_object(str(path))


@contextmanager
def created(path: Location) -> Iterator[IO[bytes]]:
    """Yield a file for what is written in pieces. On an error there is none; on a disk, its folder is created.

    Raises:
        OSError: it cannot be written, or there is one already.
        MachineError: remote storage cannot be reached, or does not let us write.
    """
    if not isinstance(path, Path):
        with create_object(str(path)) as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            yield file
    except FileExistsError:
        raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class CountedFile(io.RawIOBase):
    """A file that knows how many bytes were written, where the one below cannot say so."""

    def __init__(self, below: IO[bytes]) -> None:
        self._below = below
        self._position = 0

    def writable(self) -> bool:
        """Nothing else can be done with it."""
        return True

    def tell(self) -> int:
        """Number of bytes that were written."""
        return self._position

    def write(self, data: Any) -> int:
        """Pass on a piece."""
        written = self._below.write(data)
        self._position += written
        return written

    def flush(self) -> None:
        """Pass on what the file below still holds."""
        if not self._below.closed:
            self._below.flush()
