"""Cleanup: what is read, pointed to or young stays; older versions go."""

from pathlib import Path

import pytest

from afm_core.storage.cleanup import KEPT
from afm_core.storage.opening import open_version
from afm_core.storage.places import Place
from afm_core.storage.publishing import point
from tests.support.local_versions import fill, fill_half, grow_old


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
