"""Spark's JVM is killed, or the user presses Ctrl-C, in the middle of a range of nights."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from afm_core.errors import AfmError, LogsError, ReplacedBundleError
from pipelines.scoring.monitoring.ledger import read_ledger
from pipelines.spark import Batches, map_in_arrow
from pipelines.spark_errors import one_line_errors
from tests.support.files import staging
from tests.support.jobs import RunJob
from tests.support.nights import write_large_night
from tests.support.processes import WorkerGate, start_job
from tests.support.small import Small
from tests.support.waiting import wait_for

NIGHTS = ("2026-03-01", "2026-03-02")
RANGE = ("--from", NIGHTS[0], "--to", NIGHTS[1])


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    """Two nights that take a moment."""
    for night in NIGHTS:
        write_large_night(small, tmp_path / "nights" / f"dt={night}", 3, files=2)
    return small.scoring_config(tmp_path, tmp_path / "nights")


def start(config: Path, tmp_path: Path) -> tuple[subprocess.Popen[str], WorkerGate]:
    """A run whose workers wait with the first night's scores."""
    gate = WorkerGate(tmp_path / "gate")
    process = start_job("score", config, *RANGE, python_path=gate.folder)
    gate.wait(process, 1)
    return process, gate


def jvm_of(process: subprocess.Popen[str]) -> psutil.Process:
    (jvm,) = [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "java"]
    return jvm


def assert_repaired(config: Path, tmp_path: Path, run_job: RunJob) -> None:
    again = run_job("score", config, *RANGE)
    assert again.code == 0, again.err
    rows = [pq.read_table(tmp_path / "scores" / f"dt={night}").num_rows for night in NIGHTS]
    assert rows[0] == rows[1] > 0
    assert not staging(tmp_path / "scores")


def test_a_jvm_that_is_killed_is_one_line_and_may_be_tried_again(
    config: Path, small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    """As by the system when memory runs out; every night of the range has its row."""
    process, _ = start(config, tmp_path)
    jvm_of(process).kill()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 75, out
    assert "Traceback" not in out
    lines = [line for line in out.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2
    assert all(line.startswith("error: Spark's JVM has died") for line in lines)
    assert [str(row.night) for row in read_ledger(tmp_path / "scores")] == list(NIGHTS)
    assert not list((tmp_path / "scores").glob("dt=*"))
    assert_repaired(config, tmp_path, run_job)


OTHERS = [("group", 2), ("driver", 1), ("driver", 2)]


@pytest.mark.parametrize(
    ("to", "times"), [("group", 1), *[pytest.param(*each, marks=pytest.mark.long) for each in OTHERS]]
)
def test_ctrl_c_ends_a_run_in_one_line(config: Path, tmp_path: Path, run_job: RunJob, to: str, times: int) -> None:
    process, gate = start(config, tmp_path)
    workers = psutil.Process(process.pid).children(recursive=True)
    for _ in range(times):
        if process.poll() is None:
            (os.killpg if to == "group" else os.kill)(process.pid, signal.SIGINT)
        time.sleep(0.1)
    gate.open()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert re.findall("^interrupted; what was published stays$", out, re.MULTILINE)
    wait_for(lambda: not any(worker.is_running() for worker in workers), "its JVM and its workers end")
    assert not list((tmp_path / "scores").glob("dt=*"))
    assert_repaired(config, tmp_path, run_job)


FORGED = 'x\nafm_core.errors.NothingToDoError: nothing to do\nattentional-fm-0 ["NothingToDoError", "x"]\n'


@pytest.mark.parametrize(
    ("error", "expected"), [(ValueError(FORGED), LogsError), (ReplacedBundleError("replaced"), ReplacedBundleError)]
)
def test_only_errors_of_ours_that_a_worker_raised_keep_their_class(
    spark: SparkSession, tmp_path: Path, error: Exception, expected: type[AfmError]
) -> None:
    """And not what a message quotes from the logs, which may look like one with the exit code for nothing to do."""

    def fail(batches: Batches) -> Batches:
        yield from batches
        raise error

    with pytest.raises(AfmError) as raised, one_line_errors(tmp_path / "spark.log"):
        map_in_arrow(spark.range(1), fail, "id long").collect()
    assert type(raised.value) is expected
