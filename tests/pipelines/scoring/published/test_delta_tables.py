"""What is particular to nights in a Delta table."""

from datetime import date
from pathlib import Path

import pytest

from afm_core.errors import ForeignFolderError, SettingsError
from afm_core.settings import Settings
from afm_core.storage.anywhere import folder_names
from pipelines.contracts import scores
from pipelines.scoring.published.delta_nights import DeltaNights
from tests.support.night_stores import fill, models, table_of
from tests.support.small import Small

pytest.importorskip("deltalake")

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
    with pytest.raises(ForeignFolderError, match="is a Delta table, but not one of nights"):
        fill(DeltaNights(tmp_path / "table"), FIRST, "a", settings)


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
