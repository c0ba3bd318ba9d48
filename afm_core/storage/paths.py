"""Paths that may be URLs of an object store or HDFS: `s3://bucket/folder`."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, cast

from fsspec import get_filesystem_class
from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from upath import UPath

from afm_core.storage.hdfs_paths import HdfsPath
from afm_core.storage.locations import Location, is_file_url, local_path

_REMOTE = re.compile("(s3a?|gs|abfss|hdfs)://")
_HDFS = "hdfs://"


def to_path(text: str | Path) -> Path:
    """A local path, also for a `file://` URL; for any other URL a `UPath`, which has the same methods.

    No connection is opened, and the package for the URL's scheme need not be installed; see `require_client`.

    Raises:
        ValueError: the URL's scheme is not one of those where datasets and bundles can be.
    """
    if not isinstance(text, str):
        return text
    if "://" not in text or is_file_url(text):
        return local_path(text)
    if not _REMOTE.match(text):
        allowed = "local and mounted folders and URLs of s3 (or s3a), gs, abfss and hdfs"
        raise ValueError(f"found {text!r}, allowed are {allowed}")
    if not text.startswith(_HDFS):
        return cast(Path, UPath(re.sub("^s3a://", "s3://", text)))
    if re.search("[?#]", text):
        raise ValueError(f"{text}: hdfs-native cannot read names with ? or #")
    return cast(Path, HdfsPath(text))


def require_client(path: Path) -> None:
    """Check that the package that reads a remote path is installed. No connection is opened.

    Raises:
        ValueError: it is not.
    """
    if is_local(path) or isinstance(path, HdfsPath):  # the client of HDFS is asked for where it is needed
        return
    try:
        get_filesystem_class(cast(UPath, path).protocol)
    except ImportError as error:
        raise ValueError(f"{path}: {error}; for s3:// install the package s3fs") from error


def to_local_path(text: str | Path) -> Path:
    """A local path, also for a `file://` URL.

    Raises:
        ValueError: it is any other URL, which `Path` would take for a folder named `s3:`.
    """
    if isinstance(text, str) and "://" in text and not is_file_url(text):
        raise ValueError(
            f"found {text!r}, allowed are local and mounted folders; "
            "URLs may be the paths of logs, scores, recommendations, bundles, the dataset and the run"
        )
    return to_path(text)


PublishedPath = Annotated[Path, PlainValidator(to_path), PlainSerializer(str), WithJsonSchema({"type": "string"})]
"""A path in the settings where datasets and bundles are published: local, or a URL of an object store or HDFS."""

LocalPath = Annotated[Path, PlainValidator(to_local_path), PlainSerializer(str), WithJsonSchema({"type": "string"})]
"""A path in the settings that must be local."""


def is_local(path: Location) -> bool:
    """Whether a path is on this machine, including mounted file systems."""
    return isinstance(path, Path)


def to_url(path: Path) -> str:
    """The URL of a path with its scheme, as Petastorm needs it."""
    return path.absolute().as_uri() if is_local(path) else str(path)


def remote_file_system(path: Path) -> Any:
    """The fsspec file system of a path; None if the path is local."""
    return None if is_local(path) else cast(UPath, path).fs


def make_folder(path: Location) -> None:
    """Create a folder and those above it; remote storage needs none."""
    if isinstance(path, Path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def open_for_reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a local or remote file for reading.

    Raises:
        OSError: it cannot be read; errors of the client of remote storage are converted.
    """
    with as_os_errors(path), path.open("rb") as file:
        yield file


@contextmanager
def as_os_errors(path: Path) -> Iterator[None]:
    """Convert the errors that the client of an object store or of HDFS raises inside the block to OSError."""
    try:
        yield
    except Exception as error:
        of_client = type(error).__module__.startswith(("boto", "aio")) or (
            isinstance(path, HdfsPath) and isinstance(error, RuntimeError)
        )
        if is_local(path) or isinstance(error, OSError) or not of_client:
            raise
        raise OSError(f"{path}: {error}") from error


def copy_file(source: Path, target: Path) -> None:
    """Copy a local or remote file."""
    with open_for_reading(source) as source_file, target.open("wb") as target_file:
        shutil.copyfileobj(source_file, target_file)
