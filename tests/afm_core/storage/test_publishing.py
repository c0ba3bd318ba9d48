"""Publishing: readers find the previous version or the new one, and nothing foreign is replaced or removed."""

import os
import time
from pathlib import Path

import pytest

from afm_core.errors import ForeignFolderError, MachineError, RepublishedError
from afm_core.storage.cleanup import GRACE_SECONDS, KEPT
from afm_core.storage.leases import LEASE
from afm_core.storage.opening import open_version
from afm_core.storage.places import Place
from afm_core.storage.publishing import point, staged, unchanged


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


class TestPlainFolder:
    """An earlier release published a folder where now a pointer is."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        target = tmp_path / "out"
        target.mkdir()
        (target / "a").write_text("old")
        return target

    def test_it_becomes_a_version(self, target: Path) -> None:
        new = fill(target, "new")
        (old, _) = Place.of(target).all_versions
        assert (old / "a").read_text() == "old"
        assert (new / "a").read_text() == "new"
        assert target.resolve() == new

    def test_it_is_put_back_when_the_link_cannot_be_moved(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        replace = Path.replace

        def fails_for_the_pointer(path: Path, to: Path) -> Path:
            if to == target:
                raise OSError(5, "Input/output error")
            return replace(path, to)

        monkeypatch.setattr(Path, "replace", fails_for_the_pointer)
        with pytest.raises(MachineError, match=r"Input/output error; .*out is unchanged"):
            fill(target, "new")
        assert (target / "a").read_text() == "old"
        assert names(target.with_name("out.versions")) == []

    def test_a_run_that_was_killed_while_it_was_moved_loses_nothing(self, target: Path) -> None:
        place = Place.of(target)
        place.versions.mkdir()
        target.rename(place.versions / "20260101T000000.000000Z-00000000")
        place.adopting.write_text("20260101T000000.000000Z-00000000")
        assert (open_version(target).path / "a").read_text() == "old"
        with pytest.raises(RuntimeError):
            fill_half(target)
        assert (open_version(target).path / "a").read_text() == "old"
        fill(target, "new")
        assert [(version / "a").read_text() for version in place.all_versions] == ["old", "new"]

    def test_a_reader_finds_what_is_published_between_its_looks(
        self, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = Place.of(target)
        place.versions.mkdir()
        version = place.versions / "20260101T000000.000000Z-00000000"
        target.rename(version)

        def published_by_now(_: Place) -> None:
            target.symlink_to(version)

        for find in (lambda: place.current, lambda: open_version(target).path):
            with monkeypatch.context() as while_looking:
                while_looking.setattr(Place, "adopted", property(published_by_now))
                assert find() == version
            target.unlink()


class TestCleanup:
    def test_the_last_few_stay_and_older_ones_go_after_their_time_of_grace(self, tmp_path: Path) -> None:
        versions = [fill(tmp_path / "out", str(number)) for number in range(KEPT + 2)]
        assert all(version.exists() for version in versions), "all are within their time of grace"
        for version in versions:
            grow_old(version)
        last = fill(tmp_path / "out", "last")
        assert Place.of(tmp_path / "out").all_versions == [*versions[-(KEPT - 1) :], last]

    def test_a_version_that_is_read_stays(self, tmp_path: Path) -> None:
        first = fill(tmp_path / "out", "first")
        opened = open_version(tmp_path / "out")
        for number in range(KEPT):
            grow_old(fill(tmp_path / "out", str(number)))
        grow_old(first)
        fill(tmp_path / "out", "more")
        assert (opened.path / "a").read_text() == "first"
        del opened
        fill(tmp_path / "out", "last")
        assert not first.exists()

    def test_a_version_to_which_the_pointer_was_moved_back_stays(self, tmp_path: Path) -> None:
        place = Place.of(tmp_path / "out")
        first = fill(place, "first")
        for number in range(KEPT + 1):
            fill(place, str(number))
        point(place, first)
        for version in place.all_versions:
            grow_old(version)
        with pytest.raises(RuntimeError):
            fill_half(place.pointer)
        assert place.current == first
        fill(place, "last")
        assert first.exists(), "its time of grace began when the pointer left it"

    def test_a_staging_folder_that_was_just_created_is_not_taken_for_a_dead_one(self, tmp_path: Path) -> None:
        (tmp_path / "out.versions" / ".staging-00000000").mkdir(parents=True)
        fill(tmp_path / "out", "new")
        assert (tmp_path / "out.versions" / ".staging-00000000").exists()


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
