import os
import shutil
from pathlib import Path

import pytest

from afm_core.errors import ForeignFolderError
from afm_core.storage import publishing
from afm_core.storage.publishing import staged


def fill(target: Path, text: str) -> None:
    with staged(target, ("a",)) as stage:
        (stage / "a").write_text(text)


def fill_half(target: Path) -> None:
    with staged(target, ("a",)) as stage:
        (stage / "a").write_text("half")
        raise RuntimeError


@pytest.mark.parametrize("exchange", [True, False])
def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path, monkeypatch, exchange: bool) -> None:
    if not exchange:
        monkeypatch.setattr(publishing, "_exchange", lambda one, other: False)
    target = tmp_path / "out"
    fill(target, "old")
    (target / "only-in-old").touch()
    fill(target, "new")
    assert [file.name for file in target.iterdir()] == ["a"]
    assert (target / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_old_folder_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "out"
    fill(target, "old")
    with pytest.raises(RuntimeError):
        fill_half(target)
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_crash_left_behind_is_removed_by_the_next_run(tmp_path: Path) -> None:
    (tmp_path / ".staging-out-deadbeef").mkdir()
    fill(tmp_path / "out", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_target_whose_name_begins_alike_keeps_its_staging_folder(tmp_path: Path) -> None:
    with staged(tmp_path / "out-2", ("a",)) as stage:
        (stage / "a").write_text("two")
        fill(tmp_path / "out", "one")
        (stage / "b").touch()
    assert (tmp_path / "out-2" / "a").read_text() == "two"
    assert (tmp_path / "out" / "a").read_text() == "one"


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
    with pytest.raises(ForeignFolderError, match="not replaced, because it holds none of a "):
        fill(target, "new")
    assert os.lstat(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "a").read_text() == "new"


class TestWithoutExchange:
    """On file systems that cannot exchange two folders, the old one is moved aside first."""

    @pytest.fixture
    def target(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(publishing, "_exchange", lambda one, other: False)
        fill(tmp_path / "out", "old")
        return tmp_path / "out"

    def test_the_old_folder_is_put_back_when_the_new_one_cannot_be_moved(self, target: Path, monkeypatch) -> None:
        rename = Path.rename

        def fails_for_the_stage(path: Path, to: Path) -> Path:
            if to == target and not path.name.endswith("previous"):
                raise OSError("Input/output error")
            return rename(path, to)

        monkeypatch.setattr(Path, "rename", fails_for_the_stage)
        with pytest.raises(OSError, match="Input/output error"):
            fill(target, "new")
        assert (target / "a").read_text() == "old"
        assert [path.name for path in target.parent.iterdir()] == ["out"]

    def test_a_run_that_was_killed_between_the_two_moves_loses_nothing(self, target: Path) -> None:
        shutil.move(target, target.with_name(".staging-out-previous"))
        with pytest.raises(RuntimeError):
            fill_half(target)
        assert (target / "a").read_text() == "old"
        fill(target, "new")
        assert (target / "a").read_text() == "new"
        assert [path.name for path in target.parent.iterdir()] == ["out"]
