"""Where an artefact is published in an object store or in HDFS, neither of which has links.

`s3://bucket/shop/bundle` stands for `s3://bucket/shop/bundle-versions/VERSION/`. The pointer is the object
`bundle-versions/pointer.json`: it is written last, and only if nobody else has written it since it was read.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, cast
from uuid import uuid4

from afm_core.errors import MachineError, RepublishedError
from afm_core.storage.object_store import (
    SCHEMES,
    delete_objects,
    folders_in,
    is_object_store,
    read_object,
    replace_object,
)
from afm_core.storage.places import VERSION_TIME, versions_of
from afm_core.storage.stored_objects import Object

_GRACE = timedelta(days=7)  # longer than on a disk: readers hold no leases there
_KEPT = 3
_TRIES = 10


@dataclass(frozen=True)
class RemotePlace:
    """Where one artefact is published."""

    path: Path
    versions: Path

    @classmethod
    def of(cls, path: Path) -> Self:
        """The place of a dataset or a bundle.

        Raises:
            MachineError: nothing can be published in storage of this kind.
        """
        if not is_object_store(path):
            allowed = f"{', '.join(SCHEMES)} and local paths"
            raise MachineError(f"{path}: nothing can be published there, allowed are {allowed}")
        return cls(path, versions_of(path))

    @property
    def current(self) -> Path | None:
        """The version that the pointer names; None where there is no pointer."""
        named = _version(self.read_pointer())
        return None if named is None else self.versions / named

    @property
    def all_versions(self) -> list[Path]:
        """All versions, oldest first."""
        return [self.versions / name for name in folders_in(str(self.versions))]

    @property
    def pointer(self) -> Path:
        """The object that names the version."""
        return self.versions / "pointer.json"

    def read_pointer(self) -> Object | None:
        """The pointer's object, None where nothing is published."""
        return read_object(str(self.pointer))

    def new_version(self) -> Path:
        """A path for a version."""
        return self.versions / f"{datetime.now(UTC).strftime(VERSION_TIME)}-{uuid4().hex[:8]}"

    def point(self, version: Path, before: Object | None) -> None:
        """Let the pointer name a version, if it is still what it was when `before` was read.

        Raises:
            RepublishedError: another run has moved it.
        """
        facts = _facts(before)
        earlier = [*facts.get("before", []), {"version": facts["version"], "until": _now()}] if facts else []
        content = {"version": version.name, "before": earlier[-20:]}
        replace_object(str(self.pointer), json.dumps(content, indent=2).encode(), before)

    def point_anyway(self, version: Path) -> None:
        """Let the pointer name a version, whoever moves it at the same time."""
        for left in reversed(range(_TRIES)):
            try:
                self.point(version, self.read_pointer())
                return
            except RepublishedError:
                if not left:
                    raise

    def remove_unused(self) -> None:
        """Delete versions that are not named, not among the last few, and were replaced more than a week ago."""
        facts = _facts(self.read_pointer())
        until = {entry["version"]: datetime.fromisoformat(entry["until"]) for entry in facts.get("before", [])}
        others = [version for version in self.all_versions if version.name != facts.get("version")]
        for version in others[: -(_KEPT - 1)]:
            written = datetime.strptime(version.name.partition("-")[0], VERSION_TIME).replace(tzinfo=UTC)
            if datetime.now(UTC) - until.get(version.name, written) > _GRACE:
                delete_objects(str(version))


def _facts(pointer: Object | None) -> dict[str, Any]:
    return {} if pointer is None else cast(dict[str, Any], json.loads(pointer.content))


def _version(pointer: Object | None) -> str | None:
    return _facts(pointer).get("version")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
