"""Versions that nobody needs: not named, not among the last few, past their time of grace, and not in use."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from afm_core.storage.leases import LEASE, last_use, sole_lease
from afm_core.storage.places import Place

KEPT = 3
"""Versions that always stay: the one that is published, and those before it."""
GRACE_SECONDS = 24 * 3600
"""How long a version stays after another one took its place: a reader that holds no lease may have its path."""
STAGING, _RETIRED = ".staging-", ".retired-"


def retire_unused(place: Place) -> list[Path]:
    """Give the versions that nobody needs, and what killed runs left behind, names that no reader finds.

    The caller must keep other publishers away, and then removes the folders that are returned. Nothing else is touched.

    Raises:
        OSError: a folder cannot be listed or renamed.
    """
    for link in place.versions.glob(".pointer-*"):
        link.unlink(missing_ok=True)
    retired = list(place.versions.glob(f"{_RETIRED}*"))
    return retired + [folder for unused in _unused(place) if (folder := _retire(unused))]


def _unused(place: Place) -> Iterator[Path]:
    current = place.current
    others = [version for version in place.all_versions if version != current]
    yield from filter(_is_old, others[: -(KEPT - 1)])
    for stage in place.versions.glob(f"{STAGING}*"):
        if (stage / LEASE).exists() or _is_old(stage):  # without a lease it may just have been created
            yield stage


def _is_old(folder: Path) -> bool:
    with suppress(OSError):
        return time.time() - last_use(folder) > GRACE_SECONDS
    return False


def _retire(folder: Path) -> Path | None:
    """Rename a folder unless somebody holds it, or that cannot be known. Returns the new path."""
    lease = None
    with suppress(FileNotFoundError):  # without a lease nobody can hold it
        try:
            lease = sole_lease(folder)
        except BlockingIOError:
            return None
        if lease is None:
            return None
    retired = folder.rename(folder.with_name(f"{_RETIRED}{folder.name.lstrip('.')}"))
    if lease:
        lease.end()
    return retired
