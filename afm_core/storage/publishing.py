"""Publishing a finished folder in one step, so that no reader ever sees half of it."""

import ctypes
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that replaces it when the block ends without an error.

    On an error or a crash, `target` stays as it was. The next run removes what a crashed one left behind, so two runs
    must not write the same target at once.

    Raises:
        OSError: a folder cannot be created, renamed or removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".staging-{target.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    stage = target.parent / f".staging-{target.name}-{uuid.uuid4().hex[:8]}"
    stage.mkdir()
    try:
        yield stage
        replace_folder(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def replace_folder(stage: Path, target: Path) -> None:
    """Move `stage` to `target`. An existing folder is exchanged in one step where the file system supports it."""
    if not target.exists():
        stage.rename(target)
        return
    if not _exchange(stage, target):
        previous = target.parent / f".staging-{target.name}-previous"
        target.rename(previous)
        stage.rename(target)
        shutil.rmtree(previous)


def _exchange(left: Path, right: Path) -> bool:
    """Swap two paths atomically (Linux's `renameat2`). Returns False where that is not supported."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right), _RENAME_EXCHANGE) == 0)
