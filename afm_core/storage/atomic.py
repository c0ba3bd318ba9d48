"""Writing one file so that a reader sees either the whole of it or none of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an unfinished sibling of `path` that replaces it when the block ends without an error.

    Writers that run at the same time do not disturb each other: each has a sibling of its own, and the last one to
    finish wins. The sibling's name begins with a dot, so that Spark and pyarrow do not read it, and it is removed on an
    error. The folder of `path` must exist.

    Raises:
        OSError: the file cannot be written; `path` is as it was.
    """
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path` in one step."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON to `path` in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")
