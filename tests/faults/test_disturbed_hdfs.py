"""A night that reads its logs from HDFS while a datanode or the namenode is killed."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.support.config import write_config
from tests.support.files import snapshot
from tests.support.jobs import run_main
from tests.support.nights import published_scores, write_large_night
from tests.support.processes import WorkerGate, finish, start_job
from tests.support.remote_stores import hdfs_store, kill_daemon, run_daemon, upload
from tests.support.small import Small

pytestmark = [pytest.mark.cluster, pytest.mark.long]
NIGHT = "2026-03-01"
EACH_FILE_IS_A_TASK = "--conf spark.sql.files.maxPartitionBytes=65536 --conf spark.sql.files.openCostInBytes=65536"
WAIT_FOR_THE_NAMENODE = "--conf spark.hadoop.dfs.client.retry.policy.enabled=true"


class DisturbedNight:
    """A night in an HDFS of its own, scored once from the same logs on the disk."""

    def __init__(self, hdfs: Path, root: str, folder: Path, small: Small) -> None:
        self.hdfs, self.folder, self.scores = hdfs, folder, folder / "scores"
        run_main("score", small.scoring_config(folder / "disk", folder / "nights"), "--date", NIGHT)
        self.expected = published_scores(folder / "disk" / "scores")
        run = {"path": str(small.settings.run.path)}
        self.config = write_config(folder, folder / "nights", run=run, score={"logs": f"{root}nights"})

    def start(self, gate: WorkerGate, options: str = "") -> subprocess.Popen[str]:
        """The night up to where its workers have rows of the first files; the others are still to be read."""
        arguments = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell").removesuffix("pyspark-shell")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYSPARK_SUBMIT_ARGS", f"{arguments} {EACH_FILE_IS_A_TASK} {options} pyspark-shell")
            process = start_job("score", self.config, "--date", NIGHT, python_path=gate.folder)
        gate.wait(process, 1)
        return process


@pytest.fixture
def night(
    small: Small, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession
) -> Iterator[DisturbedNight]:
    hdfs = tmp_path_factory.mktemp("hdfs")
    write_large_night(small, tmp_path / "nights" / f"dt={NIGHT}", 12)
    with hdfs_store(hdfs, datanodes=2) as store:
        upload(spark, tmp_path / "nights", store.root / "nights")
        yield DisturbedNight(hdfs, str(store.root), tmp_path, small)


def test_one_of_two_datanodes_is_killed(night: DisturbedNight, tmp_path: Path) -> None:
    gate = WorkerGate(tmp_path / "gate")
    process = night.start(gate)
    kill_daemon(night.hdfs, "datanode1")
    gate.open()
    finish(process)
    assert published_scores(night.scores) == night.expected


@pytest.mark.long
def test_the_namenode_is_killed(night: DisturbedNight, tmp_path: Path) -> None:
    """A patient client waits for it; any other fails in one line, and what was published stays until the next run."""
    gate = WorkerGate(tmp_path / "patient")
    process = night.start(gate, WAIT_FOR_THE_NAMENODE)
    kill_daemon(night.hdfs, "namenode")
    gate.open()
    time.sleep(3)
    run_daemon(night.hdfs, "namenode")
    finish(process)
    assert published_scores(night.scores) == night.expected

    before = snapshot(night.scores)
    gate = WorkerGate(tmp_path / "impatient")
    process = night.start(gate)
    kill_daemon(night.hdfs, "namenode")
    gate.open()
    out = finish(process, 2)
    (line,) = [line for line in out.splitlines() if line.startswith("error: ")]
    assert "Connection refused" in line
    assert "Traceback" not in out
    after = snapshot(night.scores)
    assert {name: after[name] for name in before if name.startswith(f"dt={NIGHT}/")} == {
        name: content for name, content in before.items() if name.startswith(f"dt={NIGHT}/")
    }
    assert published_scores(night.scores) == night.expected
    run_daemon(night.hdfs, "namenode")
    finish(start_job("score", night.config, "--date", NIGHT))
    assert published_scores(night.scores) == night.expected
