"""The ledger: every row once, whatever is killed, damaged or gathered."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from afm_core.settings.score import DriftSettings
from afm_core.storage.anywhere import file_names, read_file
from afm_core.storage.atomic import replacing
from afm_core.storage.locations import Location, to_location
from pipelines.scoring.monitoring import ledger_months
from pipelines.scoring.monitoring.ledger import LEDGER, LedgerEntry, NightFigures, read_ledger, write_entry
from pipelines.scoring.monitoring.ledger_months import gather_ledger
from pipelines.scoring.monitoring.ledger_plot import plot_ledger
from tests.support.publishable_stores import PUBLISHABLE, publishable_folder


def published(started: datetime, day: int) -> LedgerEntry:
    figures = NightFigures(10, 1, 9, 0.5, {"user": 0.25, "app": 0.0}, {"app": 0.3}, ["app"])
    return LedgerEntry(started, date(2026, 1, day), "published", None, "abc", figures, 1.5)


def test_the_trend_is_drawn_from_the_second_night_on(tmp_path: Path) -> None:
    started = datetime(2026, 1, 2, tzinfo=UTC)
    write_entry(tmp_path, published(started, 1))
    assert plot_ledger(tmp_path, read_ledger(tmp_path), DriftSettings()) is None
    write_entry(tmp_path, published(started, 2))
    path = plot_ledger(tmp_path, read_ledger(tmp_path), DriftSettings())
    assert path is not None
    assert isinstance(path, Path)
    assert path.read_bytes()[1:4] == b"PNG"
    assert len(read_ledger(tmp_path)) == 2, "the plot is no row"


def test_nights_without_scores_are_plotted_too(tmp_path: Path) -> None:
    """As recommendations, which have rows but no mean score, unknown values or drift."""
    for day in (1, 2):
        figures = NightFigures(10, 1, 30)
        started = datetime(2026, 1, 2, tzinfo=UTC)
        write_entry(tmp_path, LedgerEntry(started, date(2026, 1, day), "published", None, "abc", figures, 1.5))
    path = plot_ledger(tmp_path, read_ledger(tmp_path), DriftSettings())
    assert path is not None
    assert isinstance(path, Path)
    assert path.read_bytes()[1:4] == b"PNG"


def test_the_ledger_keeps_every_row(tmp_path: Path) -> None:
    started = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    rows = [
        published(started, 1),
        LedgerEntry(started, date(2026, 1, 2), "refused", "why", "abc", NightFigures(), 0.5),
    ]
    for row in rows:
        write_entry(tmp_path, row)
    assert sorted(read_ledger(tmp_path), key=lambda row: row.night) == rows
    assert read_ledger(tmp_path / "none") == []


@pytest.fixture(params=["disk", *PUBLISHABLE])
def nights(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Location]:
    """Where nights are published: on a disk, in a bucket, in HDFS."""
    if request.param == "disk":
        yield tmp_path
        return
    with publishable_folder(request, request.param) as folder:
        yield to_location(folder)


def write_file(file: Location, content: bytes) -> None:
    with replacing(file) as unfinished:
        unfinished.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"\x00" * 500])
def test_a_damaged_file_is_named_set_aside_and_the_others_are_read(
    nights: Location, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    rows = [published(datetime(2026, 1, 2, tzinfo=UTC), day) for day in (1, 2)]
    for row in rows:
        write_entry(nights, row)
    damaged = nights / LEDGER / "20260101T000000000000-0badc0de.parquet"
    write_file(damaged, content)
    assert sorted(read_ledger(nights), key=lambda row: row.night) == rows
    printed = "".join(capsys.readouterr().err.split())  # without the line breaks of a narrow terminal
    assert printed.endswith("0badc0de.parquetisdamagedandleftout;thenextrunofnightstheresetsitaside")
    for _ in range(2):
        assert sorted(gather_ledger(nights), key=lambda row: row.night) == rows
    (line,) = [line for line in "".join(capsys.readouterr().err.split()).split("lost;") if "damaged" in line][:1]
    assert "0badc0de.parquetwasdamaged,anditsrowsare" in line
    assert capsys.readouterr().err == "", "it is named once"
    assert read_file(nights / LEDGER / f"{damaged.name}.damaged") == content
    assert plot_ledger(nights, rows, DriftSettings()) is not None


def rows_of(months: int, each: int) -> list[LedgerEntry]:
    begin = datetime(2025, 1, 31, 23, 59, 59, 999999, UTC)
    return [
        published(begin + timedelta(days=31 * month, seconds=number), 1 + number % 28)
        for month in range(months)
        for number in range(each)
    ]


def test_past_months_are_one_file_each_and_the_present_one_stays(nights: Location) -> None:
    rows = sorted(rows_of(months=3, each=4), key=lambda row: row.started)
    for row in rows:
        write_entry(nights, row)
    assert gather_ledger(nights) == read_ledger(nights) == rows
    names = file_names(nights / LEDGER)
    months = sorted({f"{row.started:%Y%m}" for row in rows})
    assert [name[6:12] for name in names if name.startswith("month-")] == months[:-1]
    assert len([name for name in names if name.startswith(months[-1])]) == len(
        [row for row in rows if f"{row.started:%Y%m}" == months[-1]]
    )
    late = published(rows[0].started + timedelta(microseconds=1), 28)
    write_entry(nights, late)
    assert late in gather_ledger(nights)
    assert len(file_names(nights / LEDGER)) == len(names), "it joined the others of its month"
    assert read_ledger(nights) == sorted([*rows, late], key=lambda row: row.started)


def test_many_rows_of_one_month_are_gathered_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_months, "_MOST_ROWS_OF_THIS_MONTH", 5)
    rows = rows_of(months=1, each=1) + rows_of(months=2, each=6)[6:]
    for row in rows:
        write_entry(tmp_path, row)
    gather_ledger(tmp_path)
    assert len(file_names(tmp_path / LEDGER)) == 2
    assert read_ledger(tmp_path) == rows


@pytest.mark.parametrize("calls", range(12))
def test_a_gatherer_that_is_killed_anywhere_loses_and_doubles_no_row(tmp_path: Path, calls: int) -> None:
    rows = rows_of(months=2, each=3)
    for row in rows:
        write_entry(tmp_path, row)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(calls)], check=False)
    assert killed.returncode == (-signal.SIGKILL if calls < 11 else 0), "the calls are as many as it makes"
    assert read_ledger(tmp_path) == rows
    assert gather_ledger(tmp_path) == rows
    assert read_ledger(tmp_path) == rows


KILLED = """
import os, signal, sys
from pathlib import Path
from afm_core.storage import atomic
from pipelines.scoring.monitoring import ledger_months
left = [int(sys.argv[2])]

def counted(function):
    def call(*arguments, **options):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return function(*arguments, **options)
    return call

for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "fsync")):
    setattr(owner, name, counted(getattr(owner, name)))
ledger_months.gather_ledger(Path(sys.argv[1]))
"""


def test_readers_find_every_row_while_two_gather_and_one_writes(tmp_path: Path) -> None:
    """Two gatherers at once, as on a bucket, which cannot lock."""
    before = rows_of(months=10, each=6)
    for row in before:
        write_entry(tmp_path, row)
    gatherers = [subprocess.Popen([sys.executable, "-c", GATHERER, str(tmp_path), str(number)]) for number in (1, 2)]
    reads = 0
    while any(process.poll() is None for process in gatherers):
        found = read_ledger(tmp_path)
        assert len({repr(row) for row in found}) == len(found)
        assert [row for row in before if row not in found] == []
        reads += 1
    assert [process.returncode for process in gatherers] == [0, 0]
    assert reads > 3
    assert len(read_ledger(tmp_path)) == len(before) + 2 * 20
    gather_ledger(tmp_path)
    assert len(read_ledger(tmp_path)) == len(before) + 2 * 20


GATHERER = """
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from pipelines.scoring.monitoring.ledger import read_ledger, write_entry
from pipelines.scoring.monitoring.ledger_months import gather_ledger
folder, number = Path(sys.argv[1]), int(sys.argv[2])
row = read_ledger(folder)[0]
for count in range(20):
    write_entry(folder, replace(row, started=row.started + timedelta(microseconds=1 + count, hours=-number)))
    gather_ledger(folder)
"""
