from pathlib import Path

import pytest

from afm_core.storage import publishing
from afm_core.storage.publishing import staged


def fill(target: Path, text: str) -> None:
    with staged(target) as stage:
        (stage / "a").write_text(text)


def fill_half(target: Path) -> None:
    with staged(target) as stage:
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
    (tmp_path / ".staging-out-dead").mkdir()
    fill(tmp_path / "out", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
