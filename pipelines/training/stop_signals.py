"""Being asked to stop: a training finishes its step, writes a checkpoint and ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Note SIGTERM and SIGINT instead of dying from them, for the length of the block."""
    interruption = Interruption()
    before = {number: signal.signal(number, interruption._note) for number in STOPPING}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
