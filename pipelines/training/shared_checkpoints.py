"""Checkpoints in an object store or in HDFS, so that a training goes on on another machine.

The last one is named by a pointer, as a bundle is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from afm_core.storage.object_store import delete_objects, read_object, write_object
from afm_core.storage.publishing import Condition
from afm_core.storage.remote_places import RemotePlace
from afm_core.storage.remote_publishing import staged_in_store

_N_KEPT = 2


@dataclass(frozen=True)
class SharedCheckpoints:
    """The checkpoints of one model."""

    place: RemotePlace

    def save(self, checkpoint: Path, names: Sequence[str], condition: Condition) -> None:
        """Copy the files of a checkpoint there, if the condition holds in the end, and remove all but the last two.

        Raises:
            MachineError: the store cannot be reached, or does not let us write; what is there is as it was.
            RepublishedError: another training writes to the same place.
        """
        with staged_in_store(self.place, names, condition) as version:
            for name in names:
                write_object(f"{version}/{name}", checkpoint / name)
        for old in self.newest_first()[_N_KEPT:]:
            delete_objects(str(old))

    def newest_first(self) -> list[Path]:
        """The versions that are kept, that of the pointer first.

        Raises:
            MachineError: the store cannot be reached, or does not let us read.
        """
        current = self.place.current
        others = [version for version in reversed(self.place.all_versions) if version != current]
        return others if current is None else [current, *others]

    def read(self, version: Path, names: Sequence[str]) -> dict[str, bytes]:
        """The content of files of a version, as far as they are there.

        Raises:
            MachineError: the store cannot be reached, or does not let us read.
        """
        found = {name: read_object(f"{version}/{name}") for name in names}
        return {name: each.content for name, each in found.items() if each}


def shared_checkpoints(folder: Path | None, model: str) -> SharedCheckpoints | None:
    """Where a model's checkpoints are; None for a run on this machine."""
    return None if folder is None else SharedCheckpoints(RemotePlace.of(folder / model))
