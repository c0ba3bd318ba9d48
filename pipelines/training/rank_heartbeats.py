"""One file per rank with a count of its collective operations, from which the others can tell which rank is missing."""

import os
import socket
from pathlib import Path

import psutil

_DIGITS = 12


class RankHeartbeats:
    """How many collective operations each rank has begun, and where it runs.

    Cost: one write of a few bytes per operation.
    """

    def __init__(self, folder: Path, rank: int, size: int) -> None:
        """Create this rank's file, with its host and process id."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rank, self._size, self._begun = folder, rank, size, 0
        self._file = os.open(self._path(rank), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._host_and_pid = f" {socket.gethostname()} {os.getpid()}\n"
        self.begin()

    def begin(self) -> None:
        """Record that this rank begins a collective operation."""
        self._begun += 1
        os.pwrite(self._file, f"{self._begun:0{_DIGITS}d}{self._host_and_pid}".encode(), 0)

    def missing_ranks(self) -> str:
        """The ranks that are gone, stopped, or have not begun the operation that this rank is in, as text."""
        reasons = [self._reason(rank) for rank in range(self._size) if rank != self._rank]
        return "; ".join(filter(None, reasons)) or "the missing rank cannot be identified"

    def _reason(self, rank: int) -> str | None:
        try:
            begun, host, pid = self._path(rank).read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return f"rank {rank} has never started"
        who = f"rank {rank} (process {pid} on {host})"
        if host == socket.gethostname():
            state = _state(int(pid))
            if state:
                return f"{who} {state}"
        return (
            f"{who} is {self._begun - int(begun)} collective operation(s) behind" if int(begun) < self._begun else None
        )

    def _path(self, rank: int) -> Path:
        return self._folder / f"rank-{rank}"


def _state(pid: int) -> str | None:
    try:
        status = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return "is gone"
    return {psutil.STATUS_ZOMBIE: "is gone", psutil.STATUS_DEAD: "is gone", psutil.STATUS_STOPPED: "is stopped"}.get(
        status
    )
