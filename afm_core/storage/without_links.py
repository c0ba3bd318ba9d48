"""Opening a file for writing at a name that anybody can foresee: what a link in its place names is not touched."""

import errno
import os
from pathlib import Path

from afm_core.errors import MachineError


def open_without_links(path: str | Path, flags: int) -> int:
    """Open a file as `os.open` does, but follow no link. Fits `open(path, mode, opener=open_without_links)`.

    Raises:
        MachineError: there is a symbolic link.
        OSError: the file cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and Path(path).is_symlink():
            raise MachineError(
                f"{path}: is a symbolic link to {Path(path).readlink()}, which would be overwritten; remove the "
                "link, and run it again"
            ) from error
        raise
