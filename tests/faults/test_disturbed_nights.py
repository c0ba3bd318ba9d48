"""A night whose processes, disk, bundle or logs are taken away while it is scored."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from afm_core.storage.locks import LOCK
from pipelines import phases
from pipelines.scoring.monitoring.ledger import LEDGER, read_ledger
from tests.support.config import write_config
from tests.support.files import snapshot, staging
from tests.support.jobs import RunJob, run_main
from tests.support.nights import Reader, published_scores, write_large_night
from tests.support.processes import WorkerGate, finish, start_job
from tests.support.small import Small

KILLS = {
    "after the files": ("kill", phases.FILES_WRITTEN),
    "before it is published": ("kill", phases.ABOUT_TO_PUBLISH),
    "before its row": ("kill", phases.PUBLISHED),
    "within its row": ("truncate", phases.LEDGER_FILE_BEGUN),
}


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    """Settings with a bundle of their own and a small and a great night, both to be scored by two tasks."""
    shutil.copytree(small.settings.run.bundle, tmp_path / "run" / "bundle")
    for night, copies in (("2026-03-01", 1), ("2026-03-02", 6)):
        write_large_night(small, tmp_path / "nights" / f"dt={night}", copies)
    return write_config(tmp_path, tmp_path / "nights")


def python_workers(driver: int) -> list[psutil.Process]:
    """The processes that score: children of PySpark's daemon, which looks the same."""
    workers = []
    for child in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            parent = child.parent()
            if parent and "pyspark.daemon" in child.cmdline() and "pyspark.daemon" in parent.cmdline():
                workers.append(child)
    return workers


def test_a_python_worker_and_then_the_driver_are_killed(config: Path, tmp_path: Path) -> None:
    night, scores = ("--date", "2026-03-02"), tmp_path / "scores"
    run_main("score", config, *night)
    expected, before = published_scores(scores), snapshot(scores / "dt=2026-03-02")
    reader = Reader(scores)
    reader.start()

    gate = WorkerGate(tmp_path / "first")
    process = start_job("score", config, *night, python_path=gate.folder)
    gate.wait(process, 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert snapshot(scores / "dt=2026-03-02") == before
    assert [file for stage in staging(scores) for file in stage.glob("**/_unfinished/*.parquet")]

    gate = WorkerGate(tmp_path / "second")
    process = start_job("score", config, *night, python_path=gate.folder)
    gate.wait(process, 2)
    victims = python_workers(process.pid)
    victims[0].kill()
    gate.open()
    finish(process)
    assert "Python worker exited unexpectedly" in (tmp_path / "run" / "spark.log").read_text()
    assert published_scores(scores) == expected
    assert not staging(scores)
    reader.stop()
    assert [entry.outcome for entry in read_ledger(scores)] == ["published", "published"]


@pytest.mark.long
def test_a_run_whose_lock_was_removed_publishes_nothing_over_the_run_that_took_it(config: Path, tmp_path: Path) -> None:
    night, scores = ("--date", "2026-03-02"), tmp_path / "scores"
    gate = WorkerGate(tmp_path / "first")
    first = start_job("score", config, *night, python_path=gate.folder)
    gate.wait(first, 1)
    (scores / LOCK).unlink()
    finish(start_job("score", config, *night))
    expected = snapshot(scores / "dt=2026-03-02")
    gate.open()
    (line,) = [line for line in finish(first, 75).splitlines() if line.startswith("error: ")]
    assert f"{scores / LOCK}: was removed or replaced while this run held the lock" in line
    assert snapshot(scores / "dt=2026-03-02") == expected
    assert not staging(scores)
    assert [entry.outcome for entry in read_ledger(scores)] == ["failed", "published"], "oldest first"


@pytest.mark.long
def test_the_driver_is_killed_at_every_step_after_the_files(config: Path, tmp_path: Path) -> None:
    night, scores = ("--date", "2026-03-01"), tmp_path / "scores"
    finish(start_job("score", config, *night))
    expected, before = published_scores(scores), snapshot(scores / "dt=2026-03-01")
    reader = Reader(scores)
    reader.start()
    for moment, fault in KILLS.items():
        process = start_job("score", config, *night, fault=fault)
        finish(process, -signal.SIGKILL)
        assert published_scores(scores) == expected, moment
        is_published = snapshot(scores / "dt=2026-03-01") != before
        assert is_published == ("row" in moment)
        before = snapshot(scores / "dt=2026-03-01")
        assert len(read_ledger(scores)) == 1, "its row is written last"
    finish(start_job("score", config, *night))
    reader.stop()
    assert published_scores(scores) == expected
    assert not staging(scores)
    assert len(read_ledger(scores)) == 2
    assert len(list((scores / LEDGER).glob("[!.]*.parquet"))) == 2


@pytest.mark.parametrize("then", ["nothing", pytest.param("another", marks=pytest.mark.long)])
def test_a_bundle_that_is_taken_away_is_named_and_the_night_may_be_tried_again(
    config: Path, small: Small, tmp_path: Path, then: str
) -> None:
    other = small.settings.run.warm_start_bundle
    fault = ("remove-bundle", str(other)) if then == "another" else ("remove-bundle",)
    out = finish(start_job("score", config, "--date", "2026-03-01", fault=fault), 75)
    (line,) = [line for line in out.splitlines() if line.startswith("error: ")]
    assert "was scoring; run the night again" in line
    assert "Traceback" not in out
    assert not list((tmp_path / "scores").glob("dt=*"))


@pytest.mark.long
def test_a_full_disk_leaves_what_was_published(config: Path, small: Small, tmp_path: Path) -> None:
    """A limit on the size of files, which the scores of the great night outgrow, but not Spark's library of zstd."""
    scores = tmp_path / "scores"
    write_large_night(small, tmp_path / "nights" / "dt=2026-03-03", 60)
    finish(start_job("score", config, "--date", "2026-03-03"))
    before = snapshot(scores / "dt=2026-03-03")
    fault = ("limit-file-size", "1100000")
    out = finish(start_job("score", config, "--date", "2026-03-03", fault=fault), 2)
    (line,) = [line for line in out.splitlines() if line.startswith("error: ")]
    assert "File too large" in line
    assert "Traceback" not in out
    assert snapshot(scores / "dt=2026-03-03") == before
    assert not staging(scores)


def test_a_damaged_log_keeps_its_own_night_back_only(config: Path, tmp_path: Path, run_job: RunJob) -> None:
    scores, damaged = tmp_path / "scores", tmp_path / "nights" / "dt=2026-02-28" / "part.csv.gz"
    damaged.parent.mkdir()
    damaged.write_bytes(b"\x1f\x8b\x08\x00" + b"no more than its first bytes are gzip's")
    outcome = run_job("score", config, "--from", "2026-02-28", "--to", "2026-03-01")
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "part.csv.gz" in line
    assert [path.name for path in scores.glob("dt=*")] == ["dt=2026-03-01"]
    assert [entry.outcome for entry in read_ledger(scores)] == ["failed", "published"]
