"""Folders of Parquet and Delta tables promise the same; one suite asks both, wherever they are."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from afm_core.errors import BusyError, ForeignFolderError, RepublishedError
from afm_core.settings import Settings
from afm_core.storage.anywhere import file_names
from afm_core.storage.locations import to_location
from afm_core.storage.locks import LOCK
from pipelines.scoring.published.delta_nights import DeltaNights
from pipelines.scoring.published.parquet_nights import ParquetNights
from pipelines.scoring.published.store import NightStore, Part
from tests.support.night_stores import CONTRACT, NUMBER, TEXT, fail, fill, models, table_of, write_rows
from tests.support.publishable_stores import PUBLISHABLE, publishable_folder
from tests.support.small import Small

pytest.importorskip("deltalake")

FIRST, SECOND, THIRD = (date(2026, 1, day) for day in (15, 16, 17))


@pytest.fixture
def settings(small: Small) -> Settings:
    return small.settings


@pytest.fixture(params=["parquet", "delta", *PUBLISHABLE])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NightStore]:
    if request.param == "parquet":
        yield ParquetNights(tmp_path / "scores")
    elif request.param == "delta":
        yield DeltaNights(tmp_path / "scores")
    else:
        with publishable_folder(request, request.param) as folder:
            yield DeltaNights(to_location(folder) / "scores")


@pytest.fixture(params=["delta", *PUBLISHABLE])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeltaNights]:
    if request.param == "delta":
        yield DeltaNights(tmp_path / "scores")
    else:
        with publishable_folder(request, request.param) as folder:
            yield DeltaNights(to_location(folder) / "scores")


def test_a_night_is_replaced_as_a_whole_and_the_others_stay(store: NightStore, settings: Settings) -> None:
    assert store.nights() == []
    assert store.manifest(FIRST) is None
    for night, model in ((FIRST, "a"), (SECOND, "a"), (FIRST, "b")):
        fill(store, night, model, settings)
    assert store.nights() == [FIRST, SECOND]
    assert models(store, FIRST) == ["b"] * 6
    assert models(store, SECOND) == ["a"] * 6
    assert store.manifest(FIRST) == '{"model": "b"}'
    assert store.manifest(SECOND) == '{"model": "a"}'
    assert store.manifest(THIRD) is None


def test_a_failure_leaves_what_was_published(store: NightStore, settings: Settings) -> None:
    fail(store, FIRST)
    assert store.nights() == []
    fill(store, FIRST, "a", settings)
    fail(store, FIRST)
    assert models(store, FIRST) == ["a"] * 6
    assert store.manifest(FIRST) == '{"model": "a"}'
    fill(store, FIRST, "b", settings)
    assert models(store, FIRST) == ["b"] * 6


def test_a_night_without_rows_is_published(store: NightStore, settings: Settings) -> None:
    with store.staged(FIRST, CONTRACT) as stage:
        stage.keep(write_rows(stage, "begun"))
        stage.clear()
        with stage.parts.create(0) as part:
            pq.write_table(CONTRACT.arrow.empty_table(), part.file)
            size = part.file.tell()
        stage.keep([Part(part.name, 0, size)])
        stage.describe("{}", settings)
    assert store.nights() == [FIRST]
    assert models(store, FIRST) == []
    assert store.manifest(FIRST) == "{}"


def test_only_files_that_were_chosen_are_published(store: NightStore, settings: Settings) -> None:
    """As those of tasks that Spark tried twice."""
    if isinstance(store, ParquetNights):
        pytest.skip("there, a second try replaces the file of the first")
    with store.staged(FIRST, CONTRACT) as stage:
        write_rows(stage, "first try")
        stage.keep(write_rows(stage, "second try"))
        assert len(stage.kept()) == 2
        stage.describe("{}", settings)
    assert models(store, FIRST) == ["second try"] * 6


def test_a_file_that_fails_is_not_there(store: NightStore) -> None:
    names: list[str] = []
    with suppress(RuntimeError), store.staged(FIRST, CONTRACT) as stage:
        with suppress(OSError), stage.parts.create(0) as part:
            part.file.write(b"PAR1" * 1000)
            raise OSError
        names += [name for folder in stage.kept() or [store.path / f"dt={FIRST}"] for name in file_names(folder)]
        raise RuntimeError
    assert names == []


@pytest.mark.parametrize("published", [False, True])
def test_of_two_runs_of_a_night_the_second_is_told(table: DeltaNights, settings: Settings, published: bool) -> None:
    """Where no lock keeps them apart. Delta alone would add both where the night is new."""
    fill(table, SECOND, "a", settings)
    if published:
        fill(table, FIRST, "a", settings)
    with pytest.raises(RepublishedError, match="dt=2026-01-15: another run has published there in the meantime"):
        fill(table, FIRST, "late", settings, meanwhile=lambda: fill(table, FIRST, "early", settings))
    assert models(table, FIRST) == ["early"] * 6
    assert table.manifest(FIRST) == '{"model": "early"}'


@pytest.mark.parametrize("there", [[], [SECOND], [FIRST, SECOND, THIRD]])
def test_runs_of_other_nights_do_not_disturb(table: DeltaNights, settings: Settings, there: list[date]) -> None:
    for night in there:
        fill(table, night, "a", settings)
    with table.staged(FIRST, CONTRACT) as stage:
        stage.keep(write_rows(stage, "b"))
        for night in (SECOND, THIRD):
            fill(table, night, "c", settings)
        stage.describe("b", settings)
    assert [models(table, night)[0] for night in (FIRST, SECOND, THIRD)] == ["b", "c", "c"]


def test_many_runs_at_once_publish_every_night_once(table: DeltaNights, settings: Settings) -> None:
    nights, outcomes = [date(2026, 2, day) for day in (1, 2, 3, 4)], list[str]()

    def run(night: date, model: str) -> None:
        try:
            fill(table, night, model, settings)
            outcomes.append("published")
        except RepublishedError:
            outcomes.append("told")

    runs = [threading.Thread(target=run, args=(night, model)) for night in nights for model in ("x", "y")]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert len(outcomes) == len(runs), "no run failed"
    assert [len(models(table, night)) for night in nights] == [6] * 4
    assert all(len(set(models(table, night))) == 1 for night in nights)


def test_earlier_versions_stay_readable(table: DeltaNights, settings: Settings) -> None:
    fill(table, FIRST, "a", settings)
    before = table_of(table).version()
    fill(table, FIRST, "b", settings)
    assert models(table, FIRST, before) == ["a"] * 6
    assert models(table, FIRST) == ["b"] * 6
    newest = table_of(table).history(1)[0] if not str(table.path).startswith("s3:") else None
    assert newest is None or (newest["manifest"], newest["dt"]) == ('{"model": "b"}', "2026-01-15")


def test_a_reader_of_a_night_that_is_redone_finds_one_or_the_other(table: DeltaNights, settings: Settings) -> None:
    fill(table, FIRST, "a", settings)
    done, seen = threading.Event(), set[str]()

    def read() -> None:
        while not done.is_set():
            seen.add(" ".join(map(str, models(table, FIRST))))

    reader = threading.Thread(target=read)
    reader.start()
    for model in ("b", "c", "d"):
        fill(table, FIRST, model, settings)
    done.set()
    reader.join()
    assert seen <= {" ".join([model] * 6) for model in "abcd"}


def test_columns_come_and_go(table: DeltaNights, settings: Settings) -> None:
    """As with --explain, or another key: the table has them all, and a night what it was published with."""
    fill(table, FIRST, "a", settings)
    fill(table, SECOND, "a", settings, TEXT)
    fill(table, THIRD, "a", settings)
    assert [field.name for field in table_of(table).schema().fields] == ["event_id", "score", "model", "dt", "page"]
    with pytest.raises(ForeignFolderError, match=r"column page is .* in the table and .* in the night"):
        fill(table, THIRD, "b", settings, NUMBER)
    assert models(table, THIRD) == ["a"] * 6


def test_two_runs_on_one_disk_are_kept_apart(tmp_path: Path) -> None:
    for store in (ParquetNights(tmp_path / "p"), DeltaNights(tmp_path / "d")):
        with store.locked(), pytest.raises(BusyError), store.locked():
            pass


@pytest.mark.parametrize("kind", [ParquetNights, DeltaNights])
def test_a_run_that_lost_its_lock_publishes_no_night(
    kind: type[ParquetNights] | type[DeltaNights], tmp_path: Path, settings: Settings
) -> None:
    first, second = kind(tmp_path), kind(tmp_path)

    def take_over() -> None:
        (tmp_path / LOCK).unlink()
        with second.locked():
            fill(second, FIRST, "second", settings)

    with first.locked():
        with pytest.raises(BusyError, match="_lock: was removed or replaced"):
            fill(first, FIRST, "first", settings, meanwhile=take_over)
        with pytest.raises(BusyError, match="_lock: was removed or replaced"):
            fill(first, SECOND, "first", settings, meanwhile=lambda: pytest.fail("it is told before the work"))
    assert (first.manifest(FIRST), first.manifest(SECOND)) == ('{"model": "second"}', None)


def test_neither_kind_is_published_into_the_other(tmp_path: Path, settings: Settings) -> None:
    parquet, delta = (kind(tmp_path / name) for kind, name in ((ParquetNights, "p"), (DeltaNights, "d")))
    for store in (parquet, delta):
        fill(store, FIRST, "a", settings)
    with pytest.raises(ForeignFolderError, match="holds dt=2026-01-15, which is none of its rows"):
        fill(DeltaNights(tmp_path / "p"), SECOND, "b", settings)
    with pytest.raises(ForeignFolderError, match=r"is a Delta table.*say score\.format: delta"):
        fill(ParquetNights(tmp_path / "d"), SECOND, "b", settings)
