"""The few operations on objects that publishing needs, by URL: in object stores, and in HDFS, each with its client."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

from afm_core.storage import bucket_objects, hdfs_objects
from afm_core.storage.stored_objects import Object, Pieces, Write

SCHEMES = ("s3", "gs", "abfss", "hdfs")
"""Where artefacts can be published."""
_BUFFER_BYTES = 2**20


class _Client(Protocol):
    """The operations below, in one kind of storage."""

    def read_object(self, url: str) -> Object | None: ...

    def write_object(self, url: str, content: bytes | Path) -> None: ...

    def replace_object(self, url: str, content: bytes, before: Object | None) -> None: ...

    def written_in_pieces(self, url: str) -> AbstractContextManager[Write]: ...

    def objects_below(self, folder: str) -> list[str]: ...

    def folders_in(self, folder: str) -> list[str]: ...

    def delete_object(self, url: str) -> None: ...

    def delete_objects(self, folder: str) -> None: ...


def read_object(url: str) -> Object | None:
    """The object, None where there is none.

    Raises:
        MachineError: the store cannot be reached, or does not let us read.
    """
    return _client(url).read_object(url)


def write_object(url: str, content: bytes | Path) -> None:
    """Write an object, in one step.

    Args:
        content: bytes, or a file, which is not read into memory as a whole.

    Raises:
        MachineError: the store cannot be reached, or does not let us write.
    """
    _client(url).write_object(url, content)


def replace_object(url: str, content: bytes, before: Object | None) -> None:
    """Write an object if nobody has since it was read as `before`, in one step: nobody can come between.

    An object that is written in this way is never written in another one.

    Raises:
        RepublishedError: somebody has.
        MachineError: the store cannot be reached, or does not let us write.
    """
    _client(url).replace_object(url, content, before)


@contextmanager
def create_object(url: str) -> Iterator[IO[bytes]]:
    """Yield a file for what is written in pieces; the object appears, whole, when the block ends without an error.

    On an error there is what was there before. Several may write the same object: the last one to finish counts.

    Raises:
        MachineError: the store cannot be reached, or does not let us write.
    """
    with _client(url).written_in_pieces(url) as write:
        pieces = Pieces(write)
        file = io.BufferedWriter(pieces, _BUFFER_BYTES)
        try:
            yield cast(IO[bytes], file)
            if not file.closed:  # some writers of Parquet close what they write to
                file.flush()
        finally:
            pieces.end()


def objects_below(folder: str) -> list[str]:
    """Names of all objects below a folder, relative to it. Empty folders and unfinished objects are left out.

    Raises:
        MachineError: the store cannot be reached, or does not let us read.
    """
    return _client(folder).objects_below(folder)


def folders_in(folder: str) -> list[str]:
    """Names of the folders that lie in a folder.

    Raises:
        MachineError: the store cannot be reached, or does not let us read.
    """
    return _client(folder).folders_in(folder)


def delete_object(url: str) -> None:
    """Delete an object that was not written by `replace_object`; nothing happens where there is none.

    Raises:
        MachineError: the store cannot be reached, or does not let us delete.
    """
    _client(url).delete_object(url)


def delete_objects(folder: str) -> None:
    """Delete a folder and everything below it.

    Raises:
        MachineError: the store cannot be reached, or does not let us delete.
    """
    _client(folder).delete_objects(folder)


def is_object_store(path: Path) -> bool:
    """Whether a path of the settings is a URL at which artefacts can be published."""
    return _scheme(str(path)) in SCHEMES


def _client(url: str) -> _Client:
    return hdfs_objects if _scheme(url) == "hdfs" else bucket_objects


def _scheme(url: str) -> str:
    return url.partition("://")[0]
