"""What the clients of object stores and of HDFS have in common: what they read, and the errors that they raise."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

from afm_core.errors import MachineError, RepublishedError

Write = Callable[[bytes], None]
"""Takes the next piece of an object that is being written."""


class Object(NamedTuple):
    """An object and the tag of its content, by which it is replaced only if nobody else has done so."""

    content: bytes
    tag: str | None


class Pieces(io.RawIOBase):
    """A file that hands what is written to a client. Closing it does not complete the object."""

    def __init__(self, write: Write) -> None:
        self._write: Write | None = write

    def writable(self) -> bool:
        """Nothing else can be done with it."""
        return True

    def write(self, data: Any) -> int:
        """Hand over a copy, because a buffer above this one is used again."""
        piece = bytes(data)
        if self._write is not None:
            self._write(piece)
        return len(piece)

    def end(self) -> None:
        """Hand over nothing more, whatever is left in a buffer above."""
        self._write = None


def republished(url: str) -> RepublishedError:
    """The error for an object that somebody else has replaced."""
    return RepublishedError(f"{url}: another run has published there in the meantime; run it again")


def unreachable(url: str, error: Exception) -> MachineError:
    """The error for storage that does not answer, or does not let us in; Java's stack traces are left out."""
    reason = " ".join(str(error).partition("\n\tat ")[0].split())[:200]
    return MachineError(f"{url}: cannot be reached: {reason}")
