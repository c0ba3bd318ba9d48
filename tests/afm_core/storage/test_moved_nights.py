"""A night that an operator has moved to another disk, leaving a link."""

import shutil
from pathlib import Path

import pytest

from afm_core.errors import ForeignFolderError
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged


def names(folder: Path) -> list[str]:
    """The entries of a folder but for the lock of its publishers."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.mark.parametrize("moved", ["what the link names", "a copy of a folder"])
def test_a_night_that_was_moved_to_another_disk_is_published_there(tmp_path: Path, moved: str) -> None:
    night, larger = tmp_path / "scores" / "dt=2026-01-15", tmp_path / "larger" / "kept"
    night.parent.mkdir()
    larger.parent.mkdir()
    fill_partition(night, "first")
    if moved == "a copy of a folder":
        shutil.copytree(night, larger)
    else:
        night.resolve().rename(larger)
    night.unlink()
    night.symlink_to(larger)
    for text in ("second", "third"):
        fill_partition(night, text)
        assert night.readlink() == larger, "the link that somebody made stays"
        assert (night / "a").read_text() == text
    assert (larger / "a").read_text() == "third"
    assert names(tmp_path / "larger") == ["kept", "kept.versions"]
    kept = {
        (version / "a").read_text() for version in (tmp_path / "larger" / "kept.versions").iterdir() if version.is_dir()
    }
    assert kept == {"first", "second", "third"}, "nothing of the target is lost"
    assert names(night.parent) == [night.name]


def test_a_night_on_a_disk_that_is_not_mounted_is_named(tmp_path: Path) -> None:
    night = tmp_path / "scores" / "dt=2026-01-15"
    night.parent.mkdir()
    night.symlink_to(tmp_path / "unmounted" / night.name)
    with pytest.raises(ForeignFolderError, match=r"dt=2026-01-15: not replaced, because it is a link to \S+unmounted"):
        fill_partition(night, "new")
    assert night.is_symlink()


def fill_partition(night: Path, text: str) -> None:
    with staged(Place.of_partition(night.parent, night.name), ("a",)) as stage:
        (stage / "a").write_text(text)
