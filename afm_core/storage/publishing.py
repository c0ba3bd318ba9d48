"""Publishing an artefact: it is written whole as a version, and then named by its pointer in one step.

A reader therefore finds the previous version or the new one, whatever fails and wherever a process is killed. How this
is done on a disk and in remote storage is in `disk_publishing` and `remote_publishing`.
"""

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from afm_core.errors import RepublishedError
from afm_core.storage.disk_publishing import point_on_disk, require_replaceable, staged_on_disk
from afm_core.storage.locations import Location
from afm_core.storage.object_store import delete_objects
from afm_core.storage.paths import is_local
from afm_core.storage.places import Place
from afm_core.storage.remote_places import RemotePlace
from afm_core.storage.remote_publishing import require_publishable_remotely, staged_in_store, staged_remotely

AnyPlace = Place | RemotePlace
Condition = Callable[[], None]
"""Called before a pointer is moved, while nobody else can move it; an error that it raises leaves it where it is."""


def do_not_ask() -> None:
    """The condition that always holds."""


def place_of(path: Path) -> AnyPlace:
    """Where a dataset or a bundle is published: on a disk, in an object store, or in HDFS."""
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
        staging = staged_remotely(place, content, condition)
    else:
        staging = staged_on_disk(place, content, condition)
    with staging as stage:
        yield stage


def point(place: AnyPlace, version: Path) -> None:
    """Let the pointer name a version that is there, in one step.

    Raises:
        MachineError: the pointer cannot be moved, and is as it was.
    """
    if isinstance(place, RemotePlace):
        place.point_anyway(version)
    else:
        point_on_disk(place, version, do_not_ask)


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


def remove_folder(path: Location) -> None:
    """Remove what is below a path, local or remote, that this process has written."""
    if isinstance(path, Path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        delete_objects(str(path))


def require_publishable(place: AnyPlace, content: Collection[str]) -> None:
    """Raise ForeignFolderError if the place holds something that was not published there; see `require_replaceable`."""
    if isinstance(place, RemotePlace):
        require_publishable_remotely(place, content)
    elif not place.has_lost_its_version:
        require_replaceable(place.pointer, content)
