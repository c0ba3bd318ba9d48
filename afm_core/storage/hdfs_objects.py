"""The operations of `object_store` in HDFS.

HDFS has no conditional put, but a rename that refuses an existing name is one step of the namenode. A file is written
under a name of its own, which begins with a dot, and then renamed. An object that is replaced only by who has read it
is a row of states, `pointer.json.00000000000000000007`: the highest counts, its number is its tag, and who replaces it
makes the next number, which only one can. Whatever is killed in between leaves the highest state as it was.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from afm_core.storage.hdfs_clients import client_of, one_line_hdfs_errors
from afm_core.storage.stored_objects import Object, Write, republished
from afm_core.storage.urls import Url

_UNFINISHED = re.compile(r"\.[^/]+\.[0-9a-f]{32}\.unfinished")
_STATE = re.compile(r"(?P<name>.+)\.(?P<number>\d{20})")
_KEPT_STATES = 20
_ABANDONED_SECONDS = 24 * 3600
_TRIES = 10
_BUFFER_BYTES = 2**20


def read_object(url: str) -> Object | None:
    """See `object_store`. States come first: a copy from a bucket has a pointer that is a plain file."""
    client, path = client_and_path(url)
    with one_line_hdfs_errors(url):
        for _ in range(_TRIES):
            last = max(_states(client, path), default=0)
            try:
                return Object(client.read(_state(path, last) if last else path).read(), str(last))
            except FileNotFoundError:  # there is none, or a state has been replaced many times since it was listed
                if not last:
                    return None
    raise republished(url)


def write_object(url: str, content: bytes | Path) -> None:
    """See `object_store`."""
    opened = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
    with opened as source, written_in_pieces(url) as write:
        while piece := source.read(_BUFFER_BYTES):
            write(piece)


def replace_object(url: str, content: bytes, before: Object | None) -> None:
    """See `object_store`."""
    client, path = client_and_path(url)
    number = int(before.tag or 0) + 1 if before else 1

    def make_state(unfinished: str) -> None:
        try:
            client.rename(unfinished, _state(path, number))
        except FileExistsError as error:
            if _exists(client, unfinished):  # else it was renamed, and the answer was lost when the client tried again
                raise republished(url) from error

    with _written(url, make_state) as write:
        write(content)
    with one_line_hdfs_errors(url):
        states = _states(client, path)
        if max(states) >= number + _KEPT_STATES:  # ours had perhaps been removed as an old one before we made it
            raise republished(url)
    with suppress(OSError, RuntimeError):  # the next one who replaces it tries again
        for old in [state for state in states if state <= max(states) - _KEPT_STATES]:
            client.delete(_state(path, old))
        _remove_abandoned(client, path, _state(path, max(states)))


@contextmanager
def written_in_pieces(url: str) -> Iterator[Write]:
    """Yield what takes the pieces of a file, which has a name of its own until it is complete."""
    client, path = client_and_path(url)
    with _written(url, lambda unfinished: client.rename(unfinished, path, overwrite=True)) as write:
        yield write


@contextmanager
def _written(url: str, finish: Callable[[str], None]) -> Iterator[Write]:
    client, path = client_and_path(url)
    folder, _, name = path.rpartition("/")
    unfinished = f"{folder}/.{name}.{uuid4().hex}.unfinished"
    with one_line_hdfs_errors(url):
        file = client.create(unfinished)

    def write(piece: bytes) -> None:
        with one_line_hdfs_errors(url):
            file.write(piece)

    try:
        yield write
        with one_line_hdfs_errors(url):
            file.close()
            finish(unfinished)
    except BaseException:
        with suppress(OSError, RuntimeError):
            client.delete(unfinished)
        raise


def objects_below(folder: str) -> list[str]:
    """See `object_store`. The states of an object are one object."""
    client, path = client_and_path(folder)
    names = [found.path.removeprefix(f"{path}/") for found in _listed(client, folder, path, True) if not found.isdir]
    finished = [name for name in names if not _UNFINISHED.fullmatch(name.rpartition("/")[2])]
    states = [(name, _STATE.fullmatch(name)) for name in finished]
    return sorted({state["name"] if state else name for name, state in states})


def folders_in(folder: str) -> list[str]:
    """See `object_store`. Empty ones count: what a killed process has left is to be removed like everything else."""
    client, path = client_and_path(folder)
    return sorted(found.path.rpartition("/")[2] for found in _listed(client, folder, path, False) if found.isdir)


def delete_object(url: str) -> None:
    """See `object_store`."""
    client, path = client_and_path(url)
    with one_line_hdfs_errors(url):
        client.delete(path)


def delete_objects(folder: str) -> None:
    """See `object_store`."""
    client, path = client_and_path(folder)
    with one_line_hdfs_errors(folder):
        client.delete(path, recursive=True)


def _listed(client: Any, url: str, path: str, recursive: bool) -> list[Any]:
    with one_line_hdfs_errors(url):
        try:
            return [found for found in client.list_status(path, recursive) if found.path != path]
        except FileNotFoundError:
            return []


def _state(path: str, number: int) -> str:
    return f"{path}.{number:020d}"


def _states(client: Any, path: str) -> list[int]:
    """The numbers of the states of an object."""
    folder = path.rpartition("/")[0] or "/"
    try:
        names = [found.path for found in client.list_status(folder)]
    except FileNotFoundError:
        return []
    states = [state for state in map(_STATE.fullmatch, names) if state]
    return [int(state["number"]) for state in states if state["name"] == path]


def _remove_abandoned(client: Any, path: str, newest: str) -> None:
    """Remove what processes that were killed a day ago have left beside an object, by the namenode's clock."""
    now = client.get_file_info(newest).modification_time
    folder, _, name = path.rpartition("/")
    for found in list(client.list_status(folder or "/")):
        found_name = found.path.rpartition("/")[2]
        old = now - found.modification_time > _ABANDONED_SECONDS * 1000
        if old and found_name.startswith(f".{name}.") and _UNFINISHED.fullmatch(found_name):
            client.delete(found.path)


def _exists(client: Any, path: str) -> bool:
    try:
        client.get_file_info(path)
    except FileNotFoundError:
        return False
    return True


def client_and_path(url: str) -> tuple[Any, str]:
    """The client of the namenode that a URL names, and the path there."""
    parsed = Url.parse(url)
    return client_of(parsed.authority), f"/{'/'.join(parsed.parts)}"
