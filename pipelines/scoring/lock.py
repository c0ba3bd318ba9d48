"""One run at a time: a lock file with its holder's name, which goes stale when the holder stops breathing."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from afm_core.errors import BusyError

_BREATH, _STALE = 20.0, 300.0  # seconds
LOCK, _GUARD = "_lock", "._lock_guard"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder for the length of the block.

    A lock is stale where its process is gone from this host, or where its file was not touched for five minutes by the
    file system's own clock. One that was touched in the future is stale, too: the clock was set back, and a living
    holder would have touched it again. A stale one is broken.

    Raises:
        BusyError: somebody holds it; says who, and since when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with _guarded(folder):
        if path.exists() and not _is_stale(path):
            raise BusyError(_who(path))
        path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}))
    stop = threading.Event()
    breathing = threading.Thread(target=_breathe, args=(path, stop), daemon=True)
    breathing.start()
    try:
        yield
    finally:
        stop.set()
        breathing.join()
        path.unlink(missing_ok=True)


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """Look at the lock and take it as one step; the operating system releases this when a process dies."""
    with (folder / _GUARD).open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _is_stale(path: Path) -> bool:
    try:
        holder = json.loads(path.read_text())
        if holder["host"] == socket.gethostname():
            return bool(_born(holder["pid"]) != holder["born"])
        return abs(_age(path)) > _STALE
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):
        return abs(_age(path)) > _STALE


def _age(path: Path) -> float:
    """Seconds since a file was touched, by the clock that stamps files."""
    probe = path.with_name(f".{path.name}-{uuid4().hex}")
    probe.touch()
    try:
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink()


def _who(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        name = f"process {holder['pid']} on {holder['host']}"
        minutes = (time.time() - path.stat().st_ctime) / 60
        return f"{path}: held by {name}, last heard of {max(0.0, minutes):.0f} minutes ago; try again when it has ended"
    except (OSError, ValueError, KeyError):
        return f"{path}: held by another run; try again when it has ended"


def _born(pid: int) -> str | None:
    """When a process of this host began, in ticks since the host did; None where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _breathe(path: Path, stop: threading.Event) -> None:
    while not stop.wait(_BREATH):
        with suppress(FileNotFoundError):
            os.utime(path)
