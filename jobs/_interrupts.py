"""Ctrl-C: the first one lets a job clean up and end in one line, the second ends it at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130
MESSAGE = "interrupted; what was published stays"


class Interrupts:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.any = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if self.any:
            os.write(2, f"{MESSAGE}\n".encode())
            os._exit(EXIT_CODE)  # locks end with the process, and its JVM with its standard input
        self.any = True
        raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Listen to Ctrl-C inside the block; what fails there afterwards, fails because of it."""
    listener = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield listener
        return
    before = signal.signal(signal.SIGINT, listener)
    try:
        yield listener
    finally:
        signal.signal(signal.SIGINT, before)
