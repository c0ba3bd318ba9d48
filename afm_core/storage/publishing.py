"""Publishing a finished folder in one step, so that no reader ever sees half of it."""

import ctypes
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from afm_core.errors import ForeignFolderError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def staged(target: Path, content: Collection[str]) -> Iterator[Path]:
    """Yield an empty folder beside `target` that replaces it when the block ends without an error.

    On an error or a crash, `target` stays as it was. The next run removes what a crashed one left behind, so two runs
    must not write the same target at once.

    Args:
        content: files by one of which an earlier output of the same kind is recognised; see `require_replaceable`.

    Raises:
        ForeignFolderError: `target` holds something else.
        OSError: a folder cannot be created, renamed or removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    restore(target)
    require_replaceable(target, content)
    for leftover in _leftovers(target):
        shutil.rmtree(leftover, ignore_errors=True)
    stage = target.parent / f".staging-{target.name}-{uuid.uuid4().hex[:8]}"
    stage.mkdir()
    try:
        yield stage
        _replace(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def require_replaceable(target: Path, content: Collection[str]) -> None:
    """Raise ForeignFolderError unless `target` is absent, empty, or holds one of the files `content`."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and (not any(target.iterdir()) or any((target / name).exists() for name in content)):
        return
    raise ForeignFolderError(
        f"{target}: not replaced, because it holds none of {', '.join(content)} and so is not an earlier output; name "
        "another folder, or move what is there"
    )


def restore(target: Path) -> None:
    """Put back the folder that a run had moved aside to replace it when it was killed; does nothing elsewhere."""
    previous = _previous(target)
    if previous.exists() and not target.exists():
        previous.rename(target)


def _replace(stage: Path, target: Path) -> None:
    """Move `stage` to `target`. An existing folder is exchanged in one step where the file system supports it."""
    if not target.exists():
        stage.rename(target)
        return
    if not _exchange(stage, target):
        previous = _previous(target)
        target.rename(previous)
        try:
            stage.rename(target)
        except OSError:
            restore(target)
            raise
        shutil.rmtree(previous)


def _previous(target: Path) -> Path:
    return target.parent / f".staging-{target.name}-previous"


def _leftovers(target: Path) -> list[Path]:
    """Staging folders of this very target: one of `out-2` is not one of `out`."""
    ours = re.compile(rf"\.staging-{re.escape(target.name)}-([0-9a-f]{{8}}|previous)")
    return [path for path in target.parent.iterdir() if ours.fullmatch(path.name)]


def _exchange(left: Path, right: Path) -> bool:
    """Swap two paths atomically (Linux's `renameat2`). Returns False where that is not supported."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right), _RENAME_EXCHANGE) == 0)
