"""Publishing in an object store or in HDFS.

An artefact is written on this machine, copied as a version, and then named.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from afm_core.errors import AfmError, ForeignFolderError
from afm_core.storage.leases import LEASE
from afm_core.storage.object_store import delete_objects, objects_below, write_object
from afm_core.storage.remote_places import RemotePlace


@contextmanager
def staged_remotely(place: RemotePlace, content: Collection[str], condition: Callable[[], None]) -> Iterator[Path]:
    """Yield an empty folder on this machine that is published when the block ends without an error.

    On an error or a crash, what was published stays. See `afm_core.storage.publishing.staged`.

    Raises:
        ForeignFolderError: the place holds something else.
        MachineError: the store cannot be reached, or does not let us write.
        RepublishedError: `condition` does not hold.
    """
    with TemporaryDirectory(prefix="attentional-fm-") as folder, staged_in_store(place, content, condition) as version:
        yield Path(folder)
        _copy(Path(folder), version)


@contextmanager
def staged_in_store(place: RemotePlace, content: Collection[str], condition: Callable[[], None]) -> Iterator[Path]:
    """Yield the folder of a version in the store, for writers on several machines; see `staged_remotely`."""
    require_publishable_remotely(place, content)
    version = place.new_version()
    try:
        yield version
        before = place.read_pointer()
        condition()
        place.point(version, before)
    except BaseException:
        with suppress(AfmError):
            if place.current != version:
                delete_objects(str(version))
        raise
    with suppress(AfmError):  # the next publication tries again
        place.remove_unused()


def require_publishable_remotely(place: RemotePlace, content: Collection[str]) -> None:
    """Raise ForeignFolderError if there are objects at the place, and none of them is one of `content`."""
    names = objects_below(str(place.path))
    if names and not set(content) & set(names):
        raise ForeignFolderError(
            f"{place.path}: not replaced, because it holds none of {', '.join(content)} and so is not an earlier "
            "output; name another folder, or move what is there"
        )


def _copy(folder: Path, version: Path) -> None:
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != LEASE):
        write_object(f"{version}/{file.relative_to(folder).as_posix()}", file)
