"""Publishing on a disk: a version is renamed into its place, and then named by a symbolic link in one step."""

import atexit
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from afm_core.errors import ForeignFolderError, MachineError
from afm_core.storage.atomic import write_text
from afm_core.storage.cleanup import STAGING, retire_unused
from afm_core.storage.leases import LEASE, Lease, create_lease, note_use
from afm_core.storage.locks import UnlockableError, lock_file
from afm_core.storage.places import Place

_LOCK = ".lock"


@contextmanager
def staged_on_disk(place: Place, content: Collection[str], condition: Callable[[], None]) -> Iterator[Path]:
    """Yield an empty folder that is published when the block ends; see `afm_core.storage.publishing.staged`."""
    if not place.has_lost_its_version:
        require_replaceable(place.pointer, content)
    _clean_up(place)
    stage = place.versions / f"{STAGING}{uuid4().hex[:8]}"
    try:
        with _one_line(place):
            place.versions.mkdir(parents=True, exist_ok=True)
            with _only_publisher(place):  # else the cleanup of another run finds the lease before it is locked
                stage.mkdir()
                lease = create_lease(stage)
            yield stage
            _publish(stage, lease, place, condition)
    except BaseException:
        atexit.register(shutil.rmtree, stage, ignore_errors=True)  # until it is stopped, Spark may write there again
        raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    _clean_up(place)


def point_on_disk(place: Place, version: Path, condition: Callable[[], None]) -> None:
    """Let the pointer name a version that is there, in one step.

    Raises:
        MachineError: the link cannot be made or moved; the pointer is as it was.
    """
    _clean_up(place)
    with _one_line(place):
        _point(place, version, condition)


def require_replaceable(target: Path, content: Collection[str]) -> None:
    """Raise ForeignFolderError unless `target` is absent, empty, or holds one of the files `content`."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and (not _names_in(target) or any((target / name).exists() for name in content)):
        return
    if target.is_symlink() and not target.exists():
        raise ForeignFolderError(
            f"{target}: not replaced, because it is a link to {target.readlink()}, which is not there; mount it, or "
            "remove the link"
        )
    raise ForeignFolderError(
        f"{target}: not replaced, because it holds none of {', '.join(content)} and so is not an earlier output; name "
        "another folder, or move what is there"
    )


def _publish(stage: Path, lease: Lease | None, place: Place, condition: Callable[[], None]) -> None:
    version = place.new_version()
    stage.rename(version)
    try:
        if lease:
            lease.share()
        _point(place, version, condition)
    except BaseException:
        if place.current != version:
            shutil.rmtree(version, ignore_errors=True)
        raise


@contextmanager
def _one_line(place: Place) -> Iterator[None]:
    try:
        yield
    except ConnectionError:  # of what the block asks, such as Spark; a disk has none
        raise
    except OSError as error:
        raise MachineError(
            f"{error.filename or place.pointer}: {error.strerror or error}; {place.pointer} is unchanged; make sure "
            "that the job has space and permission to write there and may make symbolic links, and run it again"
        ) from error


def _point(place: Place, version: Path, condition: Callable[[], None]) -> None:
    place.pointer.parent.mkdir(parents=True, exist_ok=True)
    with _only_publisher(place):
        condition()
        if place.current:
            note_use(place.current)
        unfinished = place.versions / f".pointer-{uuid4().hex[:8]}"  # not in the published folder: readers list it
        unfinished.symlink_to(os.path.relpath(version, place.pointer.parent))
        try:
            _move(unfinished, place)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        note_use(version)


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LEASE}


def _move(link: Path, place: Place) -> None:
    """Move a finished link to the pointer. A plain folder there, of an earlier release, becomes a version itself."""
    if place.pointer.is_dir() and not place.pointer.is_symlink():
        if _names_in(place.pointer):
            _adopt(place)
        else:
            shutil.rmtree(place.pointer)
    try:
        link.replace(place.pointer)
    except OSError:
        adopted = place.adopted
        if adopted and not place.pointer.exists():
            adopted.rename(place.pointer)
            _forget_adoption(place)
        raise
    _forget_adoption(place)


def _forget_adoption(place: Place) -> None:
    with suppress(OSError):
        place.adopting.unlink(missing_ok=True)


def _adopt(place: Place) -> None:
    """Move a plain folder to where versions are. Until the link is in place, readers find it by the file `adopting`."""
    version = place.new_version(datetime.fromtimestamp(place.pointer.stat().st_mtime, UTC))
    write_text(place.adopting, version.name)
    place.pointer.rename(version)
    with suppress(OSError):
        create_lease(version)


def _clean_up(place: Place) -> None:
    """Remove what nobody needs; a failure does not matter, because the next publication tries again."""
    if not place.versions.is_dir():
        return
    with suppress(OSError):
        with _only_publisher(place) as alone:
            unused = retire_unused(place) if alone else []
        for folder in unused:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_publisher(place: Place) -> Iterator[bool]:
    """Keep other processes from moving the pointer or removing versions; False where the file system cannot lock."""
    try:
        descriptor = lock_file(place.versions / _LOCK, fcntl.LOCK_EX)
    except UnlockableError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)
