"""The first line of a file, decompressed by the end of its name as Spark does it."""

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

LONGEST_LINE = 1 << 20
"""Bytes after which no end of a line is looked for: the file is no text."""
ZSTD = ".zst"
_OF_HADOOP = (".deflate", ".lz4", ".snappy")


def _zstd(file: Any) -> Any:
    return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))


_OPEN: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ZSTD: _zstd}
"""How a file of a suffix is opened, by path or as a file."""


def first_local_line(path: Path) -> bytes | None:
    """The first line that is not blank; empty if there is none. None where only Hadoop can decompress the file.

    Raises:
        OSError: the file cannot be read, or is damaged.
        EOFError: it ends in its middle.
    """
    if path.suffix in _OF_HADOOP:
        return None
    with path.open("rb") as raw, _OPEN.get(path.suffix, _plain)(raw) as file:
        text = io.TextIOWrapper(file, encoding="latin-1", newline=None)  # bytes stay what they are; any end of a line
        while line := text.readline(LONGEST_LINE):
            if line.strip():
                return line.rstrip("\n").encode("latin-1")
    return b""


def decompressed(content: bytes, name: str) -> bytes:
    """A file's content, decompressed by the end of its name.

    Raises:
        ValueError: only Hadoop could decompress it.
        OSError, EOFError: it is damaged.
    """
    suffix = Path(name).suffix
    if suffix in _OF_HADOOP:
        raise ValueError(f"files that are read as a whole cannot be {suffix}; use .gz, .bz2 or {ZSTD}")
    with _OPEN.get(suffix, _plain)(io.BytesIO(content)) as file:
        text: bytes = file.read()
    return text


def _plain(file: BinaryIO) -> BinaryIO:
    return file
