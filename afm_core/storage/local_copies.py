"""Copies of small remote artefacts, such as bundles, on this machine: made once, and shared by its processes."""

import hashlib
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from afm_core.errors import MachineError
from afm_core.storage.object_store import objects_below, read_object

_KEPT_SECONDS = 7 * 24 * 3600


def local_copy(version: Path, checksum: str) -> Path:
    """A folder on this machine with the content of a remote one; empty where there is nothing.

    Args:
        version: the remote folder.
        checksum: the content of the file that identifies what is there, because a plain folder may be replaced.

    Raises:
        MachineError: the store cannot be reached, or the folder of copies belongs to somebody else.
    """
    copies = _own_folder()
    copy = copies / hashlib.sha256(f"{version}\0{checksum}".encode()).hexdigest()[:24]
    if copy.exists():
        os.utime(copy)
        return copy
    _forget_old(copies)
    unfinished = copies / f".{uuid4().hex}"
    unfinished.mkdir()
    try:
        for name in objects_below(str(version)):
            found = read_object(f"{version}/{name}")
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_bytes(found.content if found else b"")
        with suppress(OSError):  # another process has just made it
            unfinished.rename(copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return copy


def _own_folder() -> Path:
    """A folder that nobody else can have put files in."""
    folder = Path(tempfile.gettempdir()) / f"attentional-fm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise MachineError(f"{folder}: belongs to somebody else, or others may write there; remove it, or set TMPDIR")
    return folder


def _forget_old(copies: Path) -> None:
    for copy in copies.iterdir():
        with suppress(OSError):
            if time.time() - copy.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(copy, ignore_errors=True)
