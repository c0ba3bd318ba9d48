"""The few operations on objects that publishing needs, by URL. The only room that knows obstore.

Credentials and the endpoint come from the environment, as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL` do.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from afm_core.errors import MachineError, RepublishedError

SCHEMES = ("s3", "gs", "abfss")
"""Where artefacts can be published."""
_CONFIGURATION = ("AWS_", "GOOGLE_", "AZURE_")
_PATIENCE = timedelta(seconds=10)


class Object(NamedTuple):
    """An object and the tag of its content, by which it is replaced only if nobody else has done so."""

    content: bytes
    tag: str | None


def read_object(url: str) -> Object | None:
    """The object, None where there is none.

    Raises:
        MachineError: the store cannot be reached, or does not let us read.
    """
    import obstore

    store, key = _store_and_key(url)
    with _one_line(url):
        try:
            found = obstore.get(store, key)
            return Object(bytes(found.bytes()), found.meta["e_tag"])
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            return None


def write_object(url: str, content: bytes | Path) -> None:
    """Write an object, in one step.

    Args:
        content: bytes, or a file, which is not read into memory as a whole.

    Raises:
        MachineError: the store cannot be reached, or does not let us write.
    """
    import obstore

    store, key = _store_and_key(url)
    with _one_line(url):
        obstore.put(store, key, content)


def replace_object(url: str, content: bytes, before: Object | None) -> None:
    """Write an object if nobody has since it was read as `before`; the store checks that, so nobody can come between.

    Raises:
        RepublishedError: somebody has.
        MachineError: the store cannot be reached, or does not let us write.
    """
    import obstore

    store, key = _store_and_key(url)
    mode: Any = "create" if before is None else {"e_tag": before.tag}
    with _one_line(url):
        try:
            obstore.put(store, key, content, mode=mode)
        except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError) as error:
            raise RepublishedError(f"{url}: another run has published there in the meantime; run it again") from error


def objects_below(folder: str) -> list[str]:
    """Names of all objects below a folder, relative to it. Markers of empty folders are left out."""
    import obstore

    store, key = _store_and_key(folder)
    with _one_line(folder):
        found = [entry["path"] for batch in obstore.list(store, f"{key}/") for entry in batch]
    return sorted(path.removeprefix(f"{key}/") for path in found if path.startswith(f"{key}/") and path != f"{key}/")


def delete_objects(folder: str) -> None:
    """Delete everything below a folder."""
    import obstore

    store, key = _store_and_key(folder)
    names = objects_below(folder)
    with _one_line(folder):
        if names:
            obstore.delete(store, [f"{key}/{name}" for name in names])


def is_object_store(path: Path) -> bool:
    """Whether a path of the settings is the URL of an object store."""
    return str(path).partition("://")[0] in SCHEMES


def _store_and_key(url: str) -> tuple[Any, str]:
    parts = urlsplit(url)
    environment = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(_CONFIGURATION)))
    return _store(f"{parts.scheme}://{parts.netloc}", environment), parts.path.strip("/")


@lru_cache(maxsize=8)
def _store(root: str, environment: tuple[tuple[str, str], ...]) -> Any:
    """The client of a bucket.

    Args:
        environment: where obstore takes its configuration from; another one needs another client.
    """
    del environment
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise MachineError(f"{root}: publishing there needs the package obstore; install the extra s3") from error
    options: dict[str, Any] = {"allow_http": True, "connect_timeout": "5 seconds"}
    retries = {"max_retries": 3, "retry_timeout": _PATIENCE}
    return from_url(root, client_options=cast(Any, options), retry_config=cast(Any, retries))


@contextmanager
def _one_line(url: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MachineError(f"{url}: cannot be reached: {reason}") from error
