"""Publishing: readers find the previous version or the new one, and nothing foreign is replaced or removed."""

import os
from pathlib import Path

import pytest

from afm_core.errors import ForeignFolderError, MachineError, RepublishedError
from afm_core.storage.leases import LEASE
from afm_core.storage.opening import open_version
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged, unchanged
from tests.support.local_versions import fill, fill_half, names


def test_the_pointer_names_the_last_version_and_the_one_before_stays_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "out"
    old = fill(target, "old")
    (old / "only-in-old").touch()
    new = fill(target, "new")
    assert sorted(file.name for file in target.iterdir()) == [LEASE, "a"]
    assert (target / "a").read_text() == "new"
    assert (old / "a").read_text() == "old"
    assert names(tmp_path) == ["out", "out.versions"]
    assert names(tmp_path / "out.versions") == sorted([old.name, new.name])


def test_a_reader_stays_with_the_version_that_it_opened(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    opened = open_version(tmp_path / "out")
    fill(tmp_path / "out", "new")
    assert (opened.path / "a").read_text() == "old"


def test_a_failure_leaves_the_old_version_and_no_trace(tmp_path: Path) -> None:
    old = fill(tmp_path / "out", "old")
    with pytest.raises(RuntimeError):
        fill_half(tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert names(old.parent) == [old.name]


def test_what_a_killed_run_left_behind_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / "out.versions" / ".staging-deadbeef"
    left.mkdir(parents=True)
    (left / LEASE).touch()
    (left.parent / ".pointer-deadbeef").symlink_to("nowhere")
    (left.parent / ".retired-half").mkdir()
    version = fill(tmp_path / "out", "new")
    assert names(left.parent) == [version.name]


def test_runs_that_publish_at_the_same_place_do_not_disturb_each_other(tmp_path: Path) -> None:
    place = Place.of(tmp_path / "out")
    with staged(place, ("a",)) as stage:
        (stage / "a").write_text("slow")
        fill(place, "fast")
        assert (tmp_path / "out" / "a").read_text() == "fast"
        (stage / "b").touch()
    assert (tmp_path / "out" / "a").read_text() == "slow"


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_not_an_earlier_output_is_not_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    match kind:
        case "folder":
            (target / "inner").mkdir(parents=True)
            (target / "letter.txt").write_text("precious")
        case "file":
            target.write_text("precious")
        case _:
            target.symlink_to(tmp_path / "unmounted")
    before = os.lstat(target)
    why = r"is a link to \S+unmounted, which is not there; mount it" if kind == "dangling link" else "holds none of a "
    with pytest.raises(ForeignFolderError, match=f"out: not replaced, because it {why}"):
        fill(target, "new")
    assert os.lstat(target) == before
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "a").read_text() == "new"


def test_a_link_to_a_larger_disk_is_followed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "there").mkdir(parents=True)
    (tmp_path / "out").symlink_to(disk / "there")
    for text in ("old", "new"):
        version = fill(tmp_path / "out", text)
        assert version.parent == disk / "there.versions"
        assert (tmp_path / "out" / "a").read_text() == text
        assert open_version(tmp_path / "out").path == version
    assert names(tmp_path) == ["disk", "out"]


def test_versions_of_a_partition_lie_beside_its_folder(tmp_path: Path) -> None:
    place = Place.of_partition(tmp_path / "scores", "dt=2026-01-15")
    version = fill(place, "night")
    assert names(tmp_path / "scores") == ["dt=2026-01-15"]
    assert version.parent == tmp_path / "scores.versions" / "dt=2026-01-15"
    assert (tmp_path / "scores" / "dt=2026-01-15" / "a").read_text() == "night"
    (tmp_path / "scores").rename(tmp_path / "elsewhere")
    (tmp_path / "scores.versions").rename(tmp_path / "elsewhere.versions")
    assert not (tmp_path / "elsewhere" / "dt=2026-01-15").exists(), "the links name the folder of the versions"


def test_a_pointer_that_has_moved_since_is_left_alone(tmp_path: Path) -> None:
    place = Place.of(tmp_path / "out")
    compared = fill(place, "old")
    other = fill(place, "other")
    with (
        pytest.raises(RepublishedError, match="another run has published there"),
        staged(place, ("a",), unchanged(place, compared)) as stage,
    ):
        (stage / "a").write_text("new")
    assert place.current == other
    assert place.all_versions == [compared, other]


def test_files_are_created_with_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        version = fill(tmp_path / "out", "new")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (version, version / LEASE, version.parent / ".lock")}
    assert modes == {version.name: 0o750, LEASE: 0o640, ".lock": 0o640}


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out.versions").mkdir()
    (tmp_path / "out.versions" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match=r"\.lock: is a symbolic link to \S+elsewhere.*; remove the link"):
        fill(tmp_path / "out", "new")
    assert names(tmp_path) == ["out.versions"]
