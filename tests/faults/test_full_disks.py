"""A disk that is full when a side file is written: the lock, a row, the plot, the history. Jobs end in one line."""

import sys
from pathlib import Path

import pytest

from tests.support.file_systems import full_file_system
from tests.support.processes import job_command
from tests.support.small import Small

NIGHTS = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from afm_core.errors import AfmError, MachineError
from afm_core.settings.score import DriftSettings
from afm_core.storage.locks import locked
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged
from pipelines.scoring.monitoring.ledger import LedgerEntry, NightFigures, write_entry
from pipelines.scoring.monitoring.ledger_months import gather_ledger
from pipelines.scoring.monitoring.ledger_plot import plot_ledger
from pipelines.training.rank_heartbeats import RankHeartbeats
disk = Path(sys.argv[1])
figures = NightFigures(scored=1)
rows = [LedgerEntry(datetime.now(UTC), date(2026, 1, day), "published", None, "", figures, 1.0) for day in (1, 2)]

def attempt(what, *errors):
    try:
        what()
        print("done")
    except errors as error:
        print(error.__class__.__name__, str(error).replace(str(disk), ""))

def stage():
    with staged(Place.of(disk / "out"), ("a",)) as folder:
        (folder / "a").write_text("something")

def lock_twice():
    with locked(disk), locked(disk):
        pass

attempt(lock_twice, AfmError)
attempt(stage, MachineError)
attempt(lambda: write_entry(disk, rows[0]), OSError)
attempt(lambda: gather_ledger(disk), OSError)
attempt(lambda: plot_ledger(disk, rows, DriftSettings()), OSError)
attempt(lambda: RankHeartbeats(disk, 0, 1).begin())
print(sorted(path.name for path in disk.rglob("*") if not path.is_dir()))
"""


def test_files_that_can_be_created_and_not_written(tmp_path: Path) -> None:
    with full_file_system(tmp_path, files=20) as run:
        done = run(sys.executable, "-c", NIGHTS, str(tmp_path))
    assert done.returncode == 0, done.stderr
    lock, stage, row, gathered, plot, heartbeat, left = done.stdout.splitlines()
    assert lock == "BusyError /_lock: held by another run; retry when it has ended", (
        "its holder is never taken for dead"
    )
    assert stage.startswith("MachineError /out: No space left on device; /out is unchanged; make sure")
    assert "No space left on device" in row
    assert gathered == "done", "there is no row"
    assert "No space left on device" in plot
    assert heartbeat == "done"
    assert "rank-0: No space left on device; if a rank is lost" in " ".join(done.stderr.split())
    assert left == "['.lock', '_lock', 'filler', 'rank-0']", "nothing unfinished stays"


def test_no_file_can_be_created(tmp_path: Path) -> None:
    with full_file_system(tmp_path, files=0) as run:
        done = run(sys.executable, "-c", NIGHTS, str(tmp_path))
    assert done.returncode == 0, done.stderr
    lock, stage, row, _, _, heartbeat, left = done.stdout.splitlines()
    assert lock.startswith("MachineError /_lock: cannot be created (No space left on device)")
    assert stage.startswith("MachineError /out.versions: No space left on device; /out is unchanged")
    assert "[Errno 28] No space left on device: '/_ledger'" in row
    assert heartbeat == "done"
    assert left == "['filler']"


@pytest.mark.parametrize("files", [20, 2])
def test_a_training_ends_in_one_line(small: Small, tmp_path: Path, files: int) -> None:
    run_on_disk = {"path": str(tmp_path / "disk" / "run")}
    config = small.training_config(tmp_path, {"epochs": 1, "warm_start": None}, run=run_on_disk)
    (tmp_path / "disk").mkdir()
    with full_file_system(tmp_path / "disk", files) as run:
        done = run(*job_command("train", config))
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "history.jsonl: cannot be written (No space left on device)" in line
    assert "Traceback" not in done.stderr
    assert ("tfevents" in done.stderr) == (files != 2), "what nobody needs is left out, and said to be"
