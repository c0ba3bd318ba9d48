"""One file per rank with a count of its collective operations, from which the others can tell which rank is missing."""

import os
import socket
from pathlib import Path

import psutil

from afm_core.storage.without_links import open_without_links
from pipelines.console import messages

_DIGITS = 12


class RankHeartbeats:
    """How many collective operations each rank has begun, and where it runs.

    Cost: one write of a few bytes per operation. They only serve to name a missing rank: a training goes on without
    them where they cannot be written, and says so once.
    """

    def __init__(self, folder: Path, rank: int, size: int) -> None:
        """Create this rank's file, with its host and process id.

        Raises:
            MachineError: there is a symbolic link.
        """
        self._folder, self._rank, self._size, self._begun = folder, rank, size, 0
        self._file: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open_without_links(self._path(rank), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        except OSError as error:
            self._give_up(error)
        self._host_and_pid = f" {socket.gethostname()} {os.getpid()}\n"
        self.begin()

    def begin(self) -> None:
        """Record that this rank begins a collective operation."""
        self._begun += 1
        if self._file is None:
            return
        try:
            os.pwrite(self._file, f"{self._begun:0{_DIGITS}d}{self._host_and_pid}".encode(), 0)
        except OSError as error:  # such as ESTALE of NFS
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._file = None  # the file stays open; closing it may fail, too
        messages.print(
            f"  {self._path(self._rank)}: {error.strerror}; if a rank is lost, another one may be named by mistake"
        )

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
