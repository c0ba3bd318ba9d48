"""Locks on folders: one run at a time. A lock ends with the process that holds it; who lost it publishes nothing."""

import fcntl
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from afm_core.errors import BusyError, MachineError
from afm_core.storage.without_links import open_without_links

LOCK = "_lock"
_TRIES = 100
_HOLDER_BYTES = 4096


class UnlockableError(OSError):
    """The file system cannot lock."""


class HeldLock:
    """A lock that this process holds, or held."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def require_held(self) -> None:
        """Make sure that nobody else can hold the lock: the file at its path is the one that is locked.

        Raises:
            BusyError: somebody removed or replaced the file, or the file system lost the lock.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no change, unless it was lost, as on NFS
            lost = None if _is_at(self._descriptor, self._path) else "was removed or replaced"
        except OSError as error:
            lost = f"was lost ({error.strerror})"
        if lost:
            raise BusyError(
                f"{self._path}: {lost} while this run held the lock, so another run may write there; this run "
                "publishes nothing more; run it again"
            )


@contextmanager
def locked(folder: Path) -> Iterator[HeldLock]:
    """Hold the lock of a folder for the length of the block.

    The lock is an flock on `folder/_lock` that is held for the whole run, so the operating system releases it however
    the process ends, and no clock, host name or process number decides whether it is stale. Hosts that share a folder
    need a file system on which flock works across hosts, such as NFSv4. The content of the file only tells people who
    holds the lock.

    Raises:
        BusyError: another process holds the lock; the message names it.
        MachineError: the file system does not support flock, the file cannot be created, or a link is in its place.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = lock_file(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BusyError(f"{path}: held by {holder_of(folder)}; retry when it has ended") from error
    except UnlockableError as error:
        raise MachineError(
            f"{path}: cannot be locked ({error.strerror}), so two runs could write there at once; use a file "
            "system that supports flock, such as a local disk or NFSv4"
        ) from error
    except OSError as error:
        raise MachineError(
            f"{path}: cannot be created ({error.strerror}), so that nothing was done; make sure that the job has space "
            "and permission to write there, and run it again"
        ) from error
    try:
        with suppress(OSError):  # a full disk: the lock is held all the same, and a second run cannot name us
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(this_process()).encode(), 0)
        yield HeldLock(path, descriptor)
    finally:
        with suppress(OSError):  # its file system is gone, and with it the lock
            os.ftruncate(descriptor, 0)
        with suppress(OSError):
            os.close(descriptor)


def lock_file(path: Path, kind: int) -> int:
    """Open a file that exists for its lock only, and lock it. Returns the descriptor.

    Args:
        kind: as `fcntl.flock` takes it.

    Raises:
        BlockingIOError: somebody else holds it.
        UnlockableError: the file system cannot lock.
        MachineError: there is a link, or anything else that is no such file.
        OSError: it cannot be created.
    """
    for _ in range(_TRIES):
        descriptor = open_without_links(path, os.O_RDWR | os.O_CREAT)
        try:
            _require_plain(path, descriptor)
            fcntl.flock(descriptor, kind)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError as error:
            os.close(descriptor)
            raise UnlockableError(*error.args) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody removed or replaced it after we had opened it
    raise BlockingIOError(f"{path}: replaced again and again")


def holder_of(folder: Path) -> str:
    """Who holds the lock of a folder, for people."""
    try:
        descriptor = open_without_links(folder / LOCK, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:
            return named(json.loads(file.read(_HOLDER_BYTES)))
    except (OSError, ValueError, MachineError):
        return "another run"


def this_process() -> dict[str, str | int]:
    """What tells people which process holds a lock."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started}


def named(holder: object) -> str:
    """What `this_process` has said, as text."""
    try:
        return f"process {holder['pid']} on {holder['host']}, started at {holder['started']}"  # type: ignore[index]
    except (KeyError, TypeError):
        return "another run"


def _require_plain(path: Path, descriptor: int) -> None:
    """Raise MachineError for a pipe, or for another name of a file that holds something else."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise MachineError(f"{path}: is not a plain file with one name, as locks are; remove it, and run it again")


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
