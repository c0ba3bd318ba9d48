"""TensorBoard's event files, written by the thread that trains.

TensorBoard's own writer is a thread, which dies with a traceback when the disk is full, and then is waited for in vain.
"""

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard.summary import histogram, scalar

from pipelines.console import messages

_N_BINS = 100


class EventFile:
    """The event file of one model. A training goes on without it where it cannot be written, and says so once."""

    def __init__(self, folder: Path) -> None:
        """Create it in a folder, which is created, too."""
        self._path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self._file: IO[bytes] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        except OSError as error:
            self._give_up(error)
        self._write([Event(wall_time=time.time(), file_version="brain.Event:2")])

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers by name."""
        self._record([scalar(name, value) for name, value in values.items()], step)  # type: ignore[no-untyped-call]

    def histogram(self, name: str, values: Tensor, step: int) -> None:
        """Record a histogram of numbers that are not negative, from 0 to the greatest of them."""
        bins = np.linspace(0.0, max(1.0, float(values.max())), _N_BINS + 1)
        self._record([histogram(name, values.numpy(), bins)], step)  # type: ignore[no-untyped-call]

    def _record(self, summaries: list[Any], step: int) -> None:
        self._write([Event(wall_time=time.time(), step=step, summary=summary) for summary in summaries])

    def _write(self, events: list[Any]) -> None:
        if self._file is None:
            return
        try:
            writer = RecordWriter(self._file)
            for event in events:
                writer.write(event.SerializeToString())
            writer.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._file = None
        messages.print(f"  {self._path}: {error.strerror}; the training continues without it")
