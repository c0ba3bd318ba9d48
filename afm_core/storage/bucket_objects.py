"""The operations of `object_store` in buckets. The only room that knows obstore.

Credentials and the endpoint come from the environment, as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL` do.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from afm_core.errors import MachineError
from afm_core.storage.stored_objects import Object, Write, republished, unreachable

_CONFIGURATION = ("AWS_", "GOOGLE_", "AZURE_")
_PATIENCE = timedelta(seconds=10)


def read_object(url: str) -> Object | None:
    """See `object_store`."""
    import obstore

    store, key = _store_and_key(url)
    with _one_line(url):
        try:
            found = obstore.get(store, key)
            return Object(bytes(found.bytes()), found.meta["e_tag"])
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            return None


def write_object(url: str, content: bytes | Path) -> None:
    """See `object_store`."""
    import obstore

    store, key = _store_and_key(url)
    with _one_line(url):
        obstore.put(store, key, content)


def replace_object(url: str, content: bytes, before: Object | None) -> None:
    """See `object_store`. The store compares the tags, so nobody can come between."""
    import obstore

    store, key = _store_and_key(url)
    mode: Any = "create" if before is None else {"e_tag": before.tag}
    with _one_line(url):
        try:
            obstore.put(store, key, content, mode=mode)
        except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError) as error:
            raise republished(url) from error


@contextmanager
def written_in_pieces(url: str) -> Iterator[Write]:
    """Yield what takes the pieces of an object: a multipart upload, which shows nothing until it is complete."""
    import obstore

    store, key = _store_and_key(url)
    writer = obstore.open_writer(store, key)

    def write(piece: bytes) -> None:
        with _one_line(url):
            writer.write(piece)

    try:
        yield write
    except BaseException:
        with suppress(Exception):  # parts that stay are invisible, and the bucket's own rules remove them
            writer.__exit__(*sys.exc_info())
        raise
    with _one_line(url):
        writer.close()


def objects_below(folder: str) -> list[str]:
    """See `object_store`."""
    import obstore

    store, key = _store_and_key(folder)
    with _one_line(folder):
        found = [entry["path"] for batch in obstore.list(store, f"{key}/") for entry in batch]
    return sorted(path.removeprefix(f"{key}/") for path in found if path.startswith(f"{key}/") and path != f"{key}/")


def folders_in(folder: str) -> list[str]:
    """See `object_store`. Only objects count: some servers go on listing a folder that has none."""
    return sorted({name.partition("/")[0] for name in objects_below(folder) if "/" in name})


def delete_object(url: str) -> None:
    """See `object_store`."""
    import obstore

    store, key = _store_and_key(url)
    with _one_line(url), suppress(FileNotFoundError, obstore.exceptions.NotFoundError):
        obstore.delete(store, key)


def delete_objects(folder: str) -> None:
    """See `object_store`."""
    import obstore

    store, key = _store_and_key(folder)
    names = objects_below(folder)
    with _one_line(folder):
        if names:
            obstore.delete(store, [f"{key}/{name}" for name in names])


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
        raise unreachable(url, error) from error
