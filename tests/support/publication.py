"""Publishes every kind of artefact while one system call fails or kills the process, and a reader looks on.

Runs as a process of its own with the library of tests/support/failing_calls.cpp preloaded, and prints what it found as
JSON. Every publication is a fork of it, so that a point costs milliseconds.
"""

import ctypes
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import torch

from afm_core.errors import AfmError
from afm_core.storage import cleanup
from tests.support.published_kinds import Kind, kinds_in
from tests.support.published_tables import delta_night

FAILURES = {"killed": 0, "EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EXDEV": errno.EXDEV}
_TRACEBACK = 99


@dataclass
class Report:
    """What was found for one kind of artefact."""

    calls: int
    """System calls of one publication that change files."""
    points: int
    """Publications that were made to fail."""
    reads: int
    problems: list[str]


def examine(kind: Kind, library: ctypes.CDLL, root: Path, *, in_every_way: bool) -> Report:
    """Fail at every call of the publication in turn, with a reader in a process of its own.

    Args:
        in_every_way: each call is killed at and fails with every error, instead of with one of them in turn.
    """
    _publish(kind, "a")
    calls = _calls_of(kind, library, root)
    problems: list[str] = []
    errors = [name for name, error in FAILURES.items() if error]
    points = [
        (name, number)
        for number in range(1, calls + 1)
        for name in (FAILURES if in_every_way else ("killed", errors[number % len(errors)]))
    ]
    with _Reader(kind) as reader:
        for name, number in points:
            where = f"{kind.name}, call {number} of {calls} {name}"
            code = _in_fork(partial(_armed, kind.publish, library, root, number, FAILURES[name]))
            found = _read(kind)
            if found not in {-signal.SIGKILL: "ab", 0: "b", 2: "a", 75: "a"}.get(code, ""):
                problems.append(f"{where}: exit code {code}, then {found}")
            _publish(kind, "b")
            if _read(kind) != "b":
                problems.append(f"{where}: not repaired by the next run")
            if left := kind.left_behind():
                problems.append(f"{where}: left {left}")
            _publish(kind, "a")
    return Report(calls, len(points), reader.reads, problems + reader.problems)


def _publish(kind: Kind, variant: str) -> None:
    if not kind.in_forks:
        kind.publish(variant)
    elif code := _in_fork(lambda: kind.publish(variant)):
        raise RuntimeError(f"{kind.name}: undisturbed, yet exit code {code}")


def _read(kind: Kind) -> str:
    if not kind.in_forks:
        return _read_here(kind)
    reader, writer = os.pipe()
    _in_fork(lambda: _send(writer, _read_here(kind)))
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as found:
        return found.read()


def _send(pipe: int, text: str) -> None:
    os.write(pipe, text.encode())


def _read_here(kind: Kind) -> str:
    try:
        return kind.read()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _armed(publish: Callable[[str], None], library: ctypes.CDLL, root: Path, at: int, failure: int) -> None:
    library.failing_calls_arm(os.fsencode(root), at, failure)
    publish("b")


def _calls_of(kind: Kind, library: ctypes.CDLL, root: Path) -> int:
    """The number of calls, each publication of which must make the same."""
    reader, writer = os.pipe()

    def count() -> None:
        _armed(kind.publish, library, root, 0, 0)
        os.write(writer, str(library.failing_calls_disarm()).encode())

    assert _in_fork(count) == 0
    _publish(kind, "a")
    return int(os.read(reader, 100))


def _in_fork(work: Callable[[], None]) -> int:
    """Exit code of a fork that does the work; negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except AfmError as error:
            os._exit(error.exit_code)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(_TRACEBACK)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _Reader:
    """A process that reads what is published, again and again, and never finds less than a whole version."""

    def __init__(self, kind: Kind) -> None:
        self._kind, self.reads, self.problems = kind, 0, list[str]()

    def __enter__(self) -> "_Reader":
        self._results, writer = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            signal.signal(signal.SIGTERM, lambda *_: self._report(writer))
            while True:
                found = _read_here(self._kind)
                self.reads += 1
                if found not in ("a", "b"):
                    self.problems.append(f"{self._kind.name}: a reader found {found}")
                time.sleep(0.001)
        os.close(writer)
        return self

    def _report(self, writer: int) -> None:
        os.write(writer, json.dumps([self.reads, self.problems[:20]]).encode())
        os._exit(0)

    def __exit__(self, *_: object) -> None:
        os.kill(self._child, signal.SIGTERM)
        os.waitpid(self._child, 0)
        self.reads, self.problems = json.loads(os.read(self._results, 1 << 16))


def main(which: str, ways: str, library: str, small: str, folder: str) -> None:
    """Examine the kinds on a disk, or the night of a Delta table; failing in `every` way, or in `two`."""
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    cleanup.GRACE_SECONDS = 0  # versions are removed beside the reader
    loaded = ctypes.CDLL(library)
    reports = {}
    paths = Path(small), Path(folder)
    for kind in [delta_night(*paths)] if which == "table" else kinds_in(*paths):
        reports[kind.name] = examine(kind, loaded, Path(folder), in_every_way=ways == "every").__dict__
    print(json.dumps(reports))


if __name__ == "__main__":
    main(*sys.argv[1:])
