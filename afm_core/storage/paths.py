"""Paths that may be URLs of an object store or HDFS: `s3://bucket/folder`, and any other URL that fsspec supports."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, cast

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from upath import UPath

from afm_core.storage.hdfs_paths import HdfsPath
from afm_core.storage.locations import Location, is_file_url, local_path

_PUBLISHED = re.compile("(s3a?|gs|abfss|hdfs)://")
_HDFS = "hdfs://"


def to_path(text: str | Path) -> Path:
    """A local path, also for a `file://` URL; for any other URL a `UPath`, which has the same methods.

    Raises:
        ValueError: the URL's scheme is unknown, or needs a package that is not installed.
    """
    if not isinstance(text, str):
        return text
    if "://" not in text or is_file_url(text):
        return local_path(text)
    if text.startswith(_HDFS) and re.search("[?#]", text):
        raise ValueError(f"{text}: hdfs-native cannot read names with ? or #")
    try:
        path = HdfsPath(text) if text.startswith(_HDFS) else UPath(re.sub("^s3a://", "s3://", text))
        assert isinstance(path, HdfsPath) or path.fs  # that of HDFS asks Hadoop's configuration, which may be absent
    except (ImportError, ValueError) as error:
        raise ValueError(f"{text}: {error}; for s3:// install the package s3fs") from error
    return cast(Path, path)


PathOrUrl = Annotated[Path, PlainValidator(to_path), PlainSerializer(str), WithJsonSchema({"type": "string"})]
"""A path in the settings: local, or a URL."""


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


def to_published_path(text: str | Path) -> Path:
    """A local path, or the URL of an object store or of HDFS, where bundles can be published.

    Raises:
        ValueError: it is any other URL, or needs a package that is not installed.
    """
    if isinstance(text, str) and "://" in text and not is_file_url(text) and not _PUBLISHED.match(text):
        allowed = "local and mounted folders and URLs of s3 (or s3a), gs, abfss and hdfs"
        raise ValueError(f"found {text!r}, allowed are {allowed}")
    return to_path(text)


PublishedPath = Annotated[
    Path, PlainValidator(to_published_path), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
"""A path in the settings where bundles are published: local, or the URL of an object store or of HDFS."""

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
