"""When the logs of a night are complete."""

from pathlib import Path
from typing import Any

import pytest

from afm_core.errors import UnfinishedLogsError
from afm_core.settings.score import ScoreSettings
from pipelines.logs.files.local import LocalTree
from pipelines.scoring.finished_logs import require_finished


def finished(night: Path, *files: str, **score: Any) -> bool:
    for name in files:
        (night / name).parent.mkdir(parents=True, exist_ok=True)
        (night / name).touch()
    settings = ScoreSettings.model_validate({"logs": "/logs", "path": "/scores", **score})
    return require_finished(LocalTree(night), settings)


@pytest.mark.parametrize(
    "name",
    [
        "_temporary/0/part-0",
        "x/_temporary/0/a",
        "a.csv._COPYING_",
        "a.inprogress",
        ".a.inprogress.7f",
        "a.csv.tmp",
        ".a.tmp",
    ],
)
def test_what_is_being_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnfinishedLogsError, match="is there: the logs are still being written; score it later"):
        finished(tmp_path / "dt=2026-01-01", "a.csv", name)


def test_an_empty_folder_of_a_writer_counts_too(tmp_path: Path) -> None:
    (tmp_path / "_temporary").mkdir()
    with pytest.raises(UnfinishedLogsError, match="_temporary is there"):
        finished(tmp_path, "a.csv")


@pytest.mark.parametrize("name", ["a.csv", "_SUCCESS", "tmp/a.csv", "temporary.csv", "_metadata", "a.tmp_1.csv"])
def test_what_is_complete(tmp_path: Path, name: str) -> None:
    finished(tmp_path / "dt=2026-01-01", name)


def test_whether_a_night_without_rows_is_complete(tmp_path: Path) -> None:
    assert not finished(tmp_path / "1", "a.csv")
    assert finished(tmp_path / "2", "a.csv", allow_empty=True)
    assert finished(tmp_path / "3", "a.csv", "_SUCCESS")
    assert finished(tmp_path / "4", "_DONE", wait_for="_DONE")
    assert not finished(tmp_path / "5", "a.csv", "x/_SUCCESS")


def test_waiting_for_a_mark(tmp_path: Path) -> None:
    with pytest.raises(UnfinishedLogsError, match="no _DONE yet, which"):
        finished(tmp_path, "a.csv", "_SUCCESS", wait_for="_DONE")
