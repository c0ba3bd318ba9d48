"""What is particular to nights in a Delta table."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from afm_core.errors import ForeignFolderError, MachineError, SettingsError
from afm_core.settings import Settings
from afm_core.storage.anywhere import folder_names
from pipelines.contracts import scores
from pipelines.scoring.published.delta_nights import DeltaNights
from tests.support.night_stores import fill, models, table_of
from tests.support.small import Small

deltalake = pytest.importorskip("deltalake")

FIRST, SECOND = (date(2026, 1, day) for day in (15, 16))


@pytest.fixture
def settings(small: Small) -> Settings:
    return small.settings


def test_optimising_and_cleaning_up_the_table_loses_nothing(tmp_path: Path, settings: Settings) -> None:
    """What owners of Delta tables run, by hand or on a schedule."""
    table = DeltaNights(tmp_path / "scores")
    for night, model in ((FIRST, "a"), (SECOND, "a"), (FIRST, "b")):
        fill(table, night, model, settings)
    opened = table_of(table)
    opened.optimize.compact()
    opened.create_checkpoint()
    opened.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert len(table_of(table).file_uris()) == 2
    assert models(table, FIRST) == ["b"] * 6
    assert table.manifest(FIRST) == '{"model": "b"}'
    fill(table, FIRST, "c", settings)
    assert models(table, FIRST) == ["c"] * 6


def test_a_table_of_something_else_is_left_alone(tmp_path: Path, settings: Settings) -> None:
    import pyarrow as pa
    from deltalake import DeltaTable, Schema

    DeltaTable.create(str(tmp_path / "table"), Schema.from_arrow(pa.schema([("a", pa.string())])))
    table = DeltaNights(tmp_path / "table")
    for ask in (table.nights, lambda: table.manifest(FIRST), lambda: fill(table, FIRST, "a", settings)):
        with pytest.raises(ForeignFolderError, match="is a Delta table, but not one of nights"):
            ask()


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("error", [deltalake.exceptions.CommitFailedError, OSError])
def test_a_commit_whose_answer_is_lost_counts(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: type[Exception], published: bool
) -> None:
    """As when a connection breaks, or the checkpoint of the log that may follow a commit fails."""
    table, commit = DeltaNights(tmp_path / "scores"), deltalake.DeltaTable.create_write_transaction
    if published:
        fill(table, FIRST, "a", settings)

    def commit_and_fail(*arguments: Any, **options: Any) -> None:
        commit(*arguments, **options)
        raise error("the answer was lost")

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", commit_and_fail)
    fill(table, FIRST, "b", settings)
    assert models(table, FIRST) == ["b"] * 6
    assert table.manifest(FIRST) == '{"model": "b"}'


def test_a_commit_that_fails_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = DeltaNights(tmp_path / "scores")
    fill(table, FIRST, "a", settings)

    def fail(*arguments: Any, **options: Any) -> None:
        raise deltalake.exceptions.DeltaError("\x1b[31mbroken\x1b[0m\nlog")

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", fail)
    with pytest.raises(MachineError, match=r"scores: the Delta table cannot be read or written: broken log$"):
        fill(table, FIRST, "b", settings)
    assert models(table, FIRST) == ["a"] * 6
    assert len(folder_names(tmp_path / "scores" / "_nights" / f"dt={FIRST}")) == 1


@pytest.mark.parametrize("keys", [["event id"], ["a;b"], ["DT"], ["Event_Id", "event_id"]])
def test_names_that_delta_does_not_take_are_one_line(tmp_path: Path, settings: Settings, keys: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"logs\.keys: "):
        fill(DeltaNights(tmp_path / "scores"), FIRST, "a", settings, scores(keys))
    assert not (tmp_path / "scores").exists()


def test_what_lies_beside_rows_that_are_gone_is_removed_after_a_month(tmp_path: Path, settings: Settings) -> None:
    table = DeltaNights(tmp_path / "scores")
    old = tmp_path / "scores" / "_nights" / f"dt={FIRST}" / "1700000000000000"
    old.mkdir(parents=True)
    fill(table, FIRST, "a", settings)
    fill(table, FIRST, "b", settings)
    assert not old.exists()
    assert len(folder_names(old.parent)) == 2
