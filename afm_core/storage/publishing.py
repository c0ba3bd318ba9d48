"""Putting a finished folder in its place in one step, so that no reader ever sees half of it."""

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
    """Yield an empty folder beside `target` that takes its place when the block ends without an error.

    On an error, or a crash, `target` stays as it was. What crashed runs left behind is removed by the next one: two
    runs that write the same target at once are not supported.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left_over in target.parent.glob(f".staging-{target.name}-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    stage = target.parent / f".staging-{target.name}-{uuid.uuid4().hex[:8]}"
    stage.mkdir()
    try:
        yield stage
        replace_folder(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def replace_folder(stage: Path, target: Path) -> None:
    """Move `stage` to `target`. An older folder there is exchanged in one step where the file system can."""
    if not target.exists():
        stage.rename(target)
        return
    if not _exchange(stage, target):
        aside = target.parent / f".staging-{target.name}-previous"
        target.rename(aside)
        stage.rename(target)
        shutil.rmtree(aside)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths atomically (Linux `renameat2`); False where that is not supported."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
