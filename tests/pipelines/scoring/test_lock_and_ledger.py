import errno
import os
import socket
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from afm_core.errors import AfmError, BusyError, MachineError
from afm_core.settings.score import DriftSettings
from pipelines.logs.files.local import LocalTree
from pipelines.scoring.lock import LOCK, locked
from pipelines.scoring.monitoring.ledger import LEDGER, LedgerEntry, NightFigures, read_ledger, write_entry
from pipelines.scoring.monitoring.ledger_plot import plot_ledger
from pipelines.scoring.night_dates import missing_nights, nights_between, nights_in


def test_a_held_lock_names_its_holder_and_is_released(tmp_path: Path) -> None:
    held = f"held by process {os.getpid()} on {socket.gethostname()}"
    with locked(tmp_path), pytest.raises(BusyError, match=held), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    assert (tmp_path / LOCK).read_text() == "", "nobody is named when nobody holds it"


def test_the_lock_of_a_process_that_was_killed_is_broken(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from pipelines.scoring.lock import locked\n"
        f"with locked(Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ['{"host": "another", "pid": 1}', "", "not JSON"])
def test_what_a_lock_file_says_decides_nothing(tmp_path: Path, content: str) -> None:
    """Neither a file that a crash left behind, nor a clock, nor the number of another process keeps a run out."""
    (tmp_path / LOCK).write_text(content)
    to_come = (tmp_path / LOCK).stat().st_mtime + 3600
    os.utime(tmp_path / LOCK, (to_come, to_come))
    with locked(tmp_path):
        pass


def test_a_living_holder_keeps_others_out_whatever_the_file_says(tmp_path: Path) -> None:
    """As in another PID namespace or on another host, whose process numbers mean nothing here."""
    with locked(tmp_path):
        (tmp_path / LOCK).write_text('{"host": "another", "pid": 4194304, "started": "2020-01-01"}')
        os.utime(tmp_path / LOCK, (0, 0))
        with pytest.raises(BusyError, match="held by process 4194304 on another"), locked(tmp_path):
            pass


def test_of_many_processes_one_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    """Each adds one to a number in a file, which comes out right only if no two do so at once."""
    (tmp_path / "n").write_text("0")
    code = (
        "from pathlib import Path; from afm_core.errors import BusyError; from pipelines.scoring.lock import locked\n"
        f"folder, left = Path({str(tmp_path)!r}), 20\n"
        "while left:\n"
        "    try:\n"
        "        with locked(folder):\n"
        "            (folder / 'n').write_text(str(int((folder / 'n').read_text()) + 1))\n"
        "            left -= 1\n"
        "    except BusyError:\n"
        "        pass\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert (tmp_path / "n").read_text() == "60"


def test_a_file_system_without_flock_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(file: object, operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr("fcntl.flock", unsupported)
    with pytest.raises(MachineError, match="use a file system that supports flock"), locked(tmp_path):
        pass


def published(started: datetime, day: int) -> LedgerEntry:
    figures = NightFigures(10, 1, 9, 0.5, {"user": 0.25, "app": 0.0}, {"app": 0.3}, ["app"])
    return LedgerEntry(started, date(2026, 1, day), "published", None, "abc", figures, 1.5)


def test_the_trend_is_drawn_from_the_second_night_on(tmp_path: Path) -> None:
    started = datetime(2026, 1, 2, tzinfo=UTC)
    write_entry(tmp_path, published(started, 1))
    assert plot_ledger(tmp_path, DriftSettings()) is None
    write_entry(tmp_path, published(started, 2))
    path = plot_ledger(tmp_path, DriftSettings())
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
    path = plot_ledger(tmp_path, DriftSettings())
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


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"\x00" * 500])
def test_a_damaged_row_is_named_and_the_others_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    started = datetime(2026, 1, 2, tzinfo=UTC)
    write_entry(tmp_path, published(started, 1))
    write_entry(tmp_path, published(started, 2))
    damaged = tmp_path / LEDGER / "20260101T000000000000-0badc0de.parquet"
    damaged.write_bytes(content)
    assert {row.night.day for row in read_ledger(tmp_path)} == {1, 2}
    printed = "".join(capsys.readouterr().err.split())  # without the line breaks of a narrow terminal
    assert printed.endswith("0badc0de.parquetcannotbereadandisleftoutoftheplot;removeitifitisdamaged")
    assert plot_ledger(tmp_path, DriftSettings()) is not None


def test_missing_nights_are_counted_from_the_newest_logs(tmp_path: Path) -> None:
    for name in ("dt=2026-01-01", "dt=2026-01-05", "dt=2026-01-06", "dt=2026-01-08", "dt=never"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    (tmp_path / "scores" / "dt=2026-01-06").mkdir(parents=True)
    logs, scores = LocalTree(tmp_path / "logs"), nights_in(LocalTree(tmp_path / "scores"))
    assert missing_nights(logs, scores, 4) == [date(2026, 1, 5), date(2026, 1, 8)]
    assert missing_nights(logs, scores, 14) == [date(2026, 1, 1), date(2026, 1, 5), date(2026, 1, 8)]
    assert missing_nights(logs, scores, 10**12) == missing_nights(logs, scores, 14)
    assert missing_nights(logs, scores, 1) == [date(2026, 1, 8)]
    assert missing_nights(LocalTree(tmp_path / "none"), scores, 14) == []
    assert scores == [date(2026, 1, 6)]
    assert nights_between(date(2026, 1, 30), date(2026, 2, 1))[1:] == [date(2026, 1, 31), date(2026, 2, 1)]
    with pytest.raises(AfmError, match="the last night is before the first"):
        nights_between(date(2026, 1, 2), date(2026, 1, 1))
