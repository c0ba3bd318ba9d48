"""Where an artefact is published: a pointer that readers open, and beside it the folder of its versions.

`runs/shop/dataset` is a symbolic link to `runs/shop/dataset.versions/VERSION`, and `scores/dt=2026-01-15` one to
`scores.versions/dt=2026-01-15/VERSION`. A version never changes; publishing another one replaces the link in one step.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import uuid4

from afm_core.storage.paths import is_local

VERSION_TIME = "%Y%m%dT%H%M%S.%fZ"
"""How the name of a version begins: when it was published."""
_MOST_LINKS = 40  # what Linux follows


@dataclass(frozen=True)
class Place:
    """Where one artefact is published."""

    pointer: Path
    versions: Path

    @classmethod
    def of(cls, path: Path) -> Self:
        """The place of a dataset or a bundle. A link that somebody else made, to a larger disk say, is followed."""
        pointer = _real_folder(path)
        for _ in range(_MOST_LINKS):
            if not pointer.is_symlink() or not pointer.exists() or _named_by(pointer).parent == versions_of(pointer):
                break
            pointer = _real_folder(_named_by(pointer))
        return cls(pointer, versions_of(pointer))

    @classmethod
    def of_partition(cls, folder: Path, name: str) -> Self:
        """The place of one partition of a folder, such as a night.

        Its versions lie beside the folder: whoever reads the folder recursively would take versions in it for rows.
        A partition that somebody has moved to a larger disk, leaving a link, is published there.
        """
        real = folder.resolve()
        place = cls(real / name, versions_of(real) / name)
        if not place.pointer.is_symlink() or not place.pointer.exists():
            return place
        return place if _named_by(place.pointer).parent == place.versions else cls.of(place.pointer)

    @property
    def path(self) -> Path:
        """Where readers open it."""
        return self.pointer

    @property
    def current(self) -> Path | None:
        """What readers find: the version that the pointer names, or the pointer itself if it is a plain folder."""
        # Where neither is there, the link may have come after the first look, and ended an adoption before the second.
        return self._pointed_to if os.path.lexists(self.pointer) else self.adopted or self._pointed_to

    @property
    def _pointed_to(self) -> Path | None:
        if self.pointer.is_symlink():
            named = _named_by(self.pointer)
            return named if named.exists() else None
        return self.pointer if self.pointer.exists() else None

    @property
    def has_lost_its_version(self) -> bool:
        """Whether the pointer names a version that somebody has removed."""
        pointer = self.pointer
        return pointer.is_symlink() and not pointer.exists() and _named_by(pointer).parent == self.versions

    @property
    def adopting(self) -> Path:
        """A file that names the version that a plain folder of an earlier release becomes, until a link is there."""
        return self.versions / ".adopting"

    @property
    def adopted(self) -> Path | None:
        """The version that a plain folder has just become, or was to become when a process was killed."""
        try:
            version = self.versions / self.adopting.read_text(encoding="utf-8")
        except OSError:
            return None
        return version if version.exists() else None

    @property
    def all_versions(self) -> list[Path]:
        """The complete versions, oldest first."""
        if not self.versions.is_dir():
            return []
        return sorted(path for path in self.versions.iterdir() if path.is_dir() and not path.name.startswith("."))

    def new_version(self, published: datetime | None = None) -> Path:
        """A path for a version. Names are unique and begin with the time of publication, so they sort by it."""
        time = (published or datetime.now(UTC)).strftime(VERSION_TIME)
        return self.versions / f"{time}-{uuid4().hex[:8]}"


def _real_folder(path: Path) -> Path:
    """The path with the links in its folder resolved, but not the last one."""
    return path.parent.resolve() / path.name


def _named_by(link: Path) -> Path:
    """What a link in a real folder names; `..` in it then means the parent folder."""
    return Path(os.path.normpath(link.parent / link.readlink()))


def versions_of(path: Path) -> Path:
    """The folder of the versions of what is published at a path, local or remote."""
    suffix = ".versions" if is_local(path) else "-versions"  # SeaweedFS keeps `.versions` for its own and hides it
    return path.parent / f"{path.name}{suffix}"
