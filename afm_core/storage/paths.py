"""Paths that may lead into an object store or HDFS: `s3://bucket/folder`, and what else fsspec knows by a URL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, cast
from urllib.parse import unquote, urlsplit

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from upath import UPath


def to_path(text: str | Path) -> Path:
    """A local path, also of a `file://` URL; for any other URL a `UPath`, which has the same methods.

    Raises:
        ValueError: a URL of a kind that needs a package which is not there.
    """
    if not isinstance(text, str):
        return text
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme in ("", "file"):
        return Path(unquote(urlsplit(text).path)) if scheme else Path(text)
    try:
        found = UPath(text)
        assert found.fs
    except (ImportError, ValueError) as error:
        raise ValueError(f"{text}: {error}; for s3:// install the package s3fs") from error
    return cast(Path, found)


PathOrUrl = Annotated[Path, PlainValidator(to_path), PlainSerializer(str), WithJsonSchema({"type": "string"})]
"""A path in the settings, local or a URL."""


def is_local(path: Path) -> bool:
    """Whether it is a path of this machine, mounted file systems included."""
    return isinstance(path, Path)


def to_url(path: Path) -> str:
    """With its scheme, as Petastorm wants it."""
    return path.absolute().as_uri() if is_local(path) else str(path)


def remote_file_system(path: Path) -> Any:
    """Of a path that is not local; None for one that is."""
    return None if is_local(path) else cast(UPath, path).fs


@contextmanager
def open_for_reading(path: Path) -> Iterator[IO[bytes]]:
    """The file, to be read, wherever it is.

    Raises:
        OSError: it cannot be; the errors of an object store's own client are such, too.
    """
    with as_os_errors(path), path.open("rb") as file:
        yield file


@contextmanager
def as_os_errors(path: Path) -> Iterator[None]:
    """Make an OSError of whatever the client of an object store raises."""
    try:
        yield
    except Exception as error:
        if is_local(path) or isinstance(error, OSError) or not type(error).__module__.startswith(("boto", "aio")):
            raise
        raise OSError(f"{path}: {error}") from error


def copy_file(source: Path, target: Path) -> None:
    """Copy a file from wherever it is."""
    with open_for_reading(source) as read, target.open("wb") as write:
        shutil.copyfileobj(read, write)
