"""The first line of a file, decompressed by the end of its name as Spark does it."""

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

LONGEST_LINE = 1 << 20
"""Bytes after which no end of a line is looked for: the file is no text."""
_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_OF_HADOOP = (".deflate", ".lz4", ".snappy", ".zst")


def first_local_line(path: Path) -> bytes | None:
    """The first line that is not blank; empty if there is none. None where only Hadoop can decompress the file.

    Raises:
        OSError: the file cannot be read, or is damaged.
        EOFError: it ends in its middle.
    """
    if path.suffix in _OF_HADOOP:
        return None
    with _OPEN.get(path.suffix, _plain)(path) as file:
        text = io.TextIOWrapper(file, encoding="latin-1", newline=None)  # bytes stay what they are; any end of a line
        while line := text.readline(LONGEST_LINE):
            if line.strip():
                return line.rstrip("\n").encode("latin-1")
    return b""


def _plain(path: Path) -> BinaryIO:
    return path.open("rb")
