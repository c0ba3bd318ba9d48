"""Publishing an artefact: it is written whole as a version, and then named by its pointer in one step.

A reader therefore finds the previous version or the new one, whatever fails and wherever a process is killed.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from afm_core.errors import ForeignFolderError, MachineError, RepublishedError
from afm_core.storage.atomic import write_text
from afm_core.storage.cleanup import STAGING, retire_unused
from afm_core.storage.leases import LEASE, Lease, create_lease, note_use
from afm_core.storage.object_store import delete_objects
from afm_core.storage.paths import is_local
from afm_core.storage.places import Place
from afm_core.storage.remote_places import RemotePlace
from afm_core.storage.remote_publishing import require_publishable_remotely, staged_in_store, staged_remotely

_LOCK = ".lock"

AnyPlace = Place | RemotePlace
Condition = Callable[[], None]
"""Called before a pointer is moved, while nobody else can move it; an error that it raises leaves it where it is."""


def do_not_ask() -> None:
    """The condition that always holds."""


def place_of(path: Path) -> AnyPlace:
    """Where a dataset or a bundle is published: on a disk, or in an object store."""
    return Place.of(path) if is_local(path) else RemotePlace.of(path)


@contextmanager
def staged_for_all(place: AnyPlace, content: Collection[str]) -> Iterator[Path]:
    """As `staged`, but the folder is where the processes of a cluster can write: on a shared disk, or in the store."""
    with (
        staged_in_store(place, content, do_not_ask)
        if isinstance(place, RemotePlace)
        else staged(place, content) as stage
    ):
        yield stage


@contextmanager
def staged(place: AnyPlace, content: Collection[str], condition: Condition = do_not_ask) -> Iterator[Path]:
    """Yield an empty folder on this machine that is published when the block ends without an error.

    On an error or a crash, what was published stays. Processes may publish at the same place at once: each has a
    folder of its own, and readers find that of the last one to finish.

    Args:
        content: files by one of which an earlier output of the same kind is recognised.
        condition: must hold for the pointer to be moved.

    Raises:
        ForeignFolderError: the place holds something else.
        MachineError: a file, a folder or a link cannot be written, also inside the block.
    """
    if isinstance(place, RemotePlace):
        with staged_remotely(place, content, condition) as stage:
            yield stage
        return
    require_publishable(place, content)
    _clean_up(place)
    stage = place.versions / f"{STAGING}{uuid4().hex[:8]}"
    try:
        with _one_line(place):
            stage.mkdir(parents=True)
            lease = create_lease(stage)
            yield stage
            _publish(stage, lease, place, condition)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    _clean_up(place)


def _publish(stage: Path, lease: Lease | None, place: Place, condition: Condition) -> None:
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
    except OSError as error:
        raise MachineError(
            f"{error.filename or place.pointer}: {error.strerror or error}; {place.pointer} is unchanged; make sure "
            "that the job has space and permission to write there and may make symbolic links, and run it again"
        ) from error


def point(place: AnyPlace, version: Path) -> None:
    """Let the pointer name a version that is there, in one step.

    Raises:
        MachineError: the link cannot be made or moved; the pointer is as it was.
    """
    if isinstance(place, RemotePlace):
        place.point_anyway(version)
        return
    _clean_up(place)
    with _one_line(place):
        _point(place, version, do_not_ask)


def _point(place: Place, version: Path, condition: Condition) -> None:
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


def unchanged(place: AnyPlace, current: Path | None) -> Condition:
    """The condition that the place still holds what it held when `current` was read.

    Raises (when called):
        RepublishedError: something else was published there since.
    """

    def check() -> None:
        if place.current != current:
            raise RepublishedError(
                f"{place.path}: another run has published there since this one compared with it; run it again"
            )

    return check


def remove_folder(path: Path) -> None:
    """Remove what is below a path, local or remote, that this process has written."""
    if is_local(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        delete_objects(str(path))


def require_publishable(place: AnyPlace, content: Collection[str]) -> None:
    """Raise ForeignFolderError if the place holds something that was not published there; see `require_replaceable`."""
    if isinstance(place, RemotePlace):
        require_publishable_remotely(place, content)
    elif not place.has_lost_its_version:
        require_replaceable(place.pointer, content)


def require_replaceable(target: Path, content: Collection[str]) -> None:
    """Raise ForeignFolderError unless `target` is absent, empty, or holds one of the files `content`."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and (not _names_in(target) or any((target / name).exists() for name in content)):
        return
    raise ForeignFolderError(
        f"{target}: not replaced, because it holds none of {', '.join(content)} and so is not an earlier output; name "
        "another folder, or move what is there"
    )


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
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(place.versions / _LOCK, flags, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            alone = True
        except OSError:
            alone = False
        yield alone
    finally:
        os.close(descriptor)
