"""Artefacts of one small file on the local disk, published for tests of their versions."""

import os
import time
from pathlib import Path

from afm_core.storage.cleanup import GRACE_SECONDS
from afm_core.storage.leases import LEASE
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged


def fill(target: Path | Place, text: str) -> Path:
    place = Place.of(target) if isinstance(target, Path) else target
    with staged(place, ("a",)) as stage:
        (stage / "a").write_text(text)
    assert place.current is not None
    return place.current


def fill_half(target: Path) -> None:
    with staged(Place.of(target), ("a",)) as stage:
        (stage / "a").write_text("half")
        raise RuntimeError


def names(folder: Path) -> list[str]:
    """The entries of a folder but for the lock of its publishers."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def grow_old(version: Path) -> None:
    long_ago = time.time() - GRACE_SECONDS - 60
    os.utime(version / LEASE, (long_ago, long_ago))
