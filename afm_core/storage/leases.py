"""Leases on versions: who reads or writes a version holds its lease, and the cleanup leaves the version alone.

A lease is an flock on the file `.lease` in the version, so the operating system ends it with the process, and no
process number or clock decides whether it is stale. Spark and pyarrow do not read names that begin with a dot.
"""

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

LEASE = ".lease"


class Lease:
    """A lease that lasts as long as this object."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._finalizer = weakref.finalize(self, os.close, descriptor)

    def share(self) -> None:
        """Turn the lease of the writer into that of a reader."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def is_of(self, folder: Path) -> bool:
        """Whether this is still the lease of what is found at a path."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._descriptor), (folder / LEASE).stat())
        return False

    def end(self) -> None:
        """End the lease now."""
        self._finalizer()


def create_lease(folder: Path) -> Lease | None:
    """Create the lease of a folder that is being written, and hold it alone.

    Where it cannot be locked there is none, so that nobody takes the folder for one that a killed run has left.
    """
    lease = _lock(os.open(folder / LEASE, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), fcntl.LOCK_EX)
    if lease is None:
        (folder / LEASE).unlink()
    return lease


def shared_lease(folder: Path) -> Lease | None:
    """Hold the lease of a version beside other readers; None where it has none, such as a copy, or cannot be locked.

    Raises:
        BlockingIOError: the version is being removed.
    """
    try:
        descriptor = os.open(folder / LEASE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    return _lock(descriptor, fcntl.LOCK_SH)


def sole_lease(folder: Path) -> Lease | None:
    """Hold the lease of a version alone; None where it cannot be locked.

    Raises:
        BlockingIOError: somebody else holds it.
        FileNotFoundError: it has none.
    """
    return _lock(os.open(folder / LEASE, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), fcntl.LOCK_EX)


def last_use(folder: Path) -> float:
    """When a version was last known to be published, in seconds since the epoch."""
    lease = folder / LEASE
    return (lease if lease.exists() else folder).stat().st_mtime


def note_use(folder: Path) -> None:
    """Record that a version is published now. Once another one takes its place, its time of grace counts from here."""
    with suppress(OSError):  # then its time of grace counts from its publication
        os.utime(folder / LEASE)


def _lock(descriptor: int, kind: int) -> Lease | None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None  # the file system cannot lock
    return Lease(descriptor)
