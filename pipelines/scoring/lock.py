"""One run at a time: a lock on a folder of nights that ends with the process that holds it."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from afm_core.errors import BusyError, MachineError

LOCK = "_lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder for the length of the block.

    The lock is an flock on `folder/_lock` that is held for the whole run, so the operating system releases it however
    the process ends, and no clock, host name or process number decides whether it is stale. Hosts that share a folder
    need a file system on which flock works across hosts, such as NFSv4. The content of the file only tells people who
    holds the lock.

    Raises:
        BusyError: another process holds the lock; the message names it.
        MachineError: the file system does not support flock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{path}: held by {_holder(file)}; retry when it has ended") from error
        except OSError as error:
            raise MachineError(
                f"{path}: cannot be locked ({error.strerror}), so two runs could write there at once; use a file "
                "system that supports flock, such as a local disk or NFSv4"
            ) from error
        _write_holder(file)
        try:
            yield
        finally:
            file.truncate(0)


def _write_holder(file: IO[str]) -> None:
    file.truncate(0)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": started}))
    file.flush()


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']}, started at {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "another run"
