"""A folder that an earlier release published is adopted as a version, and nothing of it is lost on the way."""

from pathlib import Path

import pytest

from afm_core.errors import MachineError
from afm_core.storage.opening import open_version
from afm_core.storage.places import Place
from tests.support.local_versions import fill, fill_half, names


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
