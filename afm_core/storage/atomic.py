"""Writing one file so that a reader sees either the whole of it or none of it."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from afm_core.storage.locations import Location
from afm_core.storage.object_store import write_object

_NO_SUCH_CALL = (errno.EINVAL, errno.ENOTSUP)
"""What some file systems answer that cannot flush a folder."""


@contextmanager
def replacing(path: Location) -> Iterator[Path]:
    """Yield an unfinished sibling of `path` that replaces it when the block ends without an error.

    Writers that run at the same time do not disturb each other: each has a sibling of its own, and the last one to
    finish wins. The sibling's name begins with a dot, so that Spark and pyarrow do not read it, and it is removed on an
    error. The folder of `path` must exist. What goes to remote storage is written on this machine, and then put there.
    File and folder are flushed: after a power failure, too, there is the whole of one or the other.

    Raises:
        OSError: the file cannot be written; `path` is as it was, unless the folder alone could not be flushed.
        MachineError: remote storage cannot be reached, or does not let us write.
    """
    if not isinstance(path, Path):
        with TemporaryDirectory(prefix="attentional-fm-") as folder:
            yield Path(folder) / path.name
            write_object(str(path), Path(folder) / path.name)
        return
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.unfinished")
    try:
        yield unfinished
        _flush(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    _flush(path.parent)


def _flush(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:  # a folder may be writable and not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
    finally:
        os.close(descriptor)


def write_text(path: Location, text: str) -> None:
    """Write UTF-8 text to `path` in one step."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Location, value: Any) -> None:
    """Write a value as indented JSON to `path` in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")
