"""Waiting for what a process brings about."""

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for(
    found: Callable[[], T], what: str, process: "subprocess.Popen[Any] | None" = None, seconds: float = 180
) -> T:
    """The first true answer of `found`; raises AssertionError when time is over, or `process` before it is there."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        if process and process.poll() is not None:
            printed = process.stdout.read() if process.stdout else ""
            raise AssertionError(f"the process ended before this: {what}\n{printed}")
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.01)
    return answer
