"""Opening what is published: the pointer is resolved once, and everything is read from the version that it named."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from afm_core.storage.leases import Lease, shared_lease
from afm_core.storage.object_store import is_object_store
from afm_core.storage.paths import is_local
from afm_core.storage.places import Place
from afm_core.storage.remote_places import RemotePlace

_TRIES, _PAUSE_SECONDS = 50, 0.02


@dataclass(frozen=True, eq=False)
class OpenVersion:
    """A version that is in use: the cleanup leaves it alone as long as this object lives."""

    path: Path
    """The folder of the version; it never changes."""
    lease: Lease | None = None


def open_version(path: Path) -> OpenVersion:
    """Resolve the pointer at `path` and hold the version that it names.

    A plain folder, such as a copy, or a version itself is returned as it is, and so is a path where nothing is.
    """
    if not is_local(path):
        return OpenVersion((RemotePlace.of(path).current if is_object_store(path) else None) or path)
    for _ in range(_TRIES):
        version = _resolved(path)
        try:
            lease = shared_lease(version)
        except BlockingIOError:  # it is being removed, so the pointer names another one by now
            time.sleep(_PAUSE_SECONDS)
            continue
        if lease.is_of(version) if lease else _resolved(path) == version:
            return OpenVersion(version, lease)
    return OpenVersion(_resolved(path))


def _resolved(path: Path) -> Path:
    if not os.path.lexists(path):
        adopted = Place.of(path).adopted
        if adopted:
            return adopted
    # Looked at again: between the two looks the link may have come and ended an adoption.
    version = path.resolve() if path.is_symlink() else path
    return version if version.exists() else path
