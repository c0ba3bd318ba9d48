"""The signals that ask a training to stop: it finishes its step, writes a checkpoint and ends."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipelines.training.communicator import Communicator

STOPPING = (signal.SIGTERM, signal.SIGINT)
REPORT_SECONDS = 2.0
"""How long a rank lives after a SIGTERM that follows an error of the loop. Horovod kills it after five seconds."""


class StopRequest:
    """The signal that was received, 0 if none."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0

    def _record(self, number: int, _: FrameType | None) -> None:
        self.signal = number


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record SIGTERM and SIGINT instead of dying from them, for the duration of the block.

    After an error in the block SIGTERM ends the process with 143, but only after `REPORT_SECONDS`: a launcher that has
    lost one rank sends it to the others at once, and they are about to say which rank is gone.
    """
    request = StopRequest()
    before = {number: signal.signal(number, request._record) for number in STOPPING}
    try:
        yield request
    except BaseException:
        before[signal.SIGTERM] = _end_soon
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_soon(number: int, _: FrameType | None) -> None:
    end = threading.Timer(REPORT_SECONDS, os._exit, [128 + number])
    end.daemon = True
    end.start()


def agreed_signal(stop: StopRequest, ranks: Communicator) -> int:
    """The signal that any rank has received, 0 if none; the same on all ranks."""
    counts = ranks.sum([float(stop.signal == number) for number in STOPPING])
    return next((int(number) for number, count in zip(STOPPING, counts, strict=True) if count), 0)
