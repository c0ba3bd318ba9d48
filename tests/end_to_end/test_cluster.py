"""Preparation and scoring on a Spark standalone cluster: a master and two workers, and their processes dying."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyspark
import pytest

from pipelines.dataset import Dataset
from tests.support.config import NIGHT, write_config
from tests.support.decoding import assert_same_dataset
from tests.support.files import ROOT, snapshot
from tests.support.jobs import run_main
from tests.support.nights import published_scores, write_large_night
from tests.support.small import Small
from tests.support.waiting import wait_for

SPARK_HOME = Path(pyspark.__file__).parent
LOOPBACK = "127.0.0.1"
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # most of a small job is starting it
CONF = {
    "spark.ui.enabled": "false",
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.executor.memory": "1g",
    "spark.executor.extraJavaOptions": QUICK,
    "spark.driver.extraJavaOptions": QUICK,
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",  # both executors have a share of every stage
    "spark.shuffle.readHostLocalDisk": "false",  # the files of a dead executor are lost, as on another host
    "spark.shuffle.io.maxRetries": "1",
    "spark.shuffle.io.retryWait": "100ms",
}
# Knows the installed packages but, without .pth files, not this project: that comes with --py-files or not at all.
PYTHON = """#!/bin/sh
PYTHONPATH="{packages}${{PYTHONPATH:+:$PYTHONPATH}}" exec "{python}" -S "$@"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process group of its own that works in `folder`, prints to `folder/log`, and is killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill_group(process)


@dataclass(frozen=True)
class Cluster:
    url: str
    ui: str
    folder: Path
    environment: dict[str, str]
    archive: Path
    workers: list[subprocess.Popen[bytes]]

    def state(self) -> dict[str, Any]:
        """What the master says of itself; nothing before it listens."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows this loopback
        try:
            with opener.open(f"{self.ui}/json/", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return {}

    def executors(self) -> list[psutil.Process]:
        """The executors' JVMs."""
        found = []
        for worker in self.workers:
            for child in psutil.Process(worker.pid).children():
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if EXECUTOR in child.cmdline():
                        found.append(child)
        return found

    @contextmanager
    def submitting(self, job: str, config: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A job, submitted once the cluster is free of earlier ones."""
        wait_for(lambda: self.state().get("activeapps") == [] and not self.executors(), "the cluster is idle")
        conf = [argument for key, value in CONF.items() for argument in ("--conf", f"{key}={value}")]
        command = [
            str(SPARK_HOME / "bin" / "spark-submit"),
            "--master",
            self.url,
            "--py-files",
            str(self.archive),
            *conf,
        ]
        command += [str(ROOT / "jobs" / f"{job}.py"), "--config", str(config), *arguments]
        with running(command, config.parent / "driver", self.environment) as driver:
            yield driver


def end(driver: subprocess.Popen[bytes], config: Path) -> str:
    """Wait until the job is done; what it printed."""
    code = driver.wait(timeout=300)
    log = (config.parent / "driver" / "log").read_text(errors="replace")
    assert code == 0, log[-5000:]
    return log


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers of one core each that know nothing of the project, not even by their folder."""
    folder = tmp_path_factory.mktemp("cluster")
    archive, python = folder / "attentional_fm.zip", folder / "python"
    subprocess.run([sys.executable, ROOT / "conf" / "setup" / "dist.py", archive], check=True)
    packages = os.pathsep.join(dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib"))))
    python.write_text(PYTHON.format(packages=packages, python=sys.executable))
    python.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_", "PYTHON"))} | {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": str(python),
    }
    alone = subprocess.run(
        [python, "-c", "import pipelines"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert "No module named 'pipelines'" in alone.stderr, "the executors would not need --py-files"

    spark_class = [str(SPARK_HOME / "bin" / "spark-class")]
    master, ui = free_port(), free_port()
    url = f"spark://{LOOPBACK}:{master}"
    start_master = [*spark_class, "org.apache.spark.deploy.master.Master", "--host", LOOPBACK]
    start_master += ["--port", str(master), "--webui-port", str(ui)]
    start_worker = [*spark_class, "org.apache.spark.deploy.worker.Worker", "--host", LOOPBACK]
    start_worker += ["--webui-port", "0", "--cores", "1", "--memory", "1g"]

    def worker(name: str) -> list[str]:
        return [*start_worker, "--work-dir", str(folder / name), url]

    with (
        running(start_master, folder / "master", environment),
        running(worker("one"), folder / "one", environment) as one,
        running(worker("two"), folder / "two", environment) as two,
    ):
        made = Cluster(url, f"http://{LOOPBACK}:{ui}", folder, environment, archive, [one, two])
        wait_for(lambda: made.state().get("aliveworkers") == 2, "both workers are registered")
        try:
            yield made
        finally:
            for executor in made.executors():  # a killed worker does not take them along
                executor.kill()


def staging(config: Path) -> list[Path]:
    return list(config.parent.glob(".staging-dataset-*"))


def wait_until_it_writes(driver: subprocess.Popen[bytes], config: Path) -> None:
    """Until the last stage of the job has published its first file into the staging folder."""

    def written() -> bool:
        assert driver.poll() is None, (config.parent / "driver" / "log").read_text(errors="replace")[-5000:]
        return any(file for stage in staging(config) for file in stage.glob("train/part-*"))

    wait_for(written, "the first file is written")


def test_the_archive_depends_on_the_sources_only(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        for folder in ("afm_core", "pipelines", "jobs", "conf"):
            shutil.copytree(ROOT / folder, tmp_path / name / folder, copy_function=shutil.copyfile)  # new times
        made.append(tmp_path / name / "dist" / "attentional_fm.zip")
        command = [sys.executable, tmp_path / name / "conf" / "setup" / "dist.py", made[-1]]
        subprocess.run(command, cwd=tmp_path, check=True)
    assert made[0].read_bytes() == made[1].read_bytes()
    names = zipfile.ZipFile(made[0]).namelist()
    assert {"pipelines/log4j2.properties", "pipelines/spark.py", "jobs/_command.py"} < set(names)
    assert not [name for name in names if not name.endswith((".py", ".properties"))]


def test_the_cluster_prepares_the_dataset_that_one_machine_prepares(
    cluster: Cluster, small: Small, tmp_path: Path
) -> None:
    config = write_config(tmp_path, small.settings.logs.path)
    with cluster.submitting("prepare", config, "--force") as driver:
        end(driver, config)
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), Dataset.open(small.settings.dataset.path))
    used = list(cluster.folder.glob(f"*/app-*/*/{cluster.archive.name}"))
    assert {path.parents[2].name for path in used} == {"one", "two"}, "both executors were sent the archive"


def test_an_executor_that_is_killed_changes_nothing(cluster: Cluster, small: Small, tmp_path: Path) -> None:
    """With it go its running tasks, its cached rows and its shuffle files."""
    config = write_config(tmp_path, small.settings.logs.path)
    with cluster.submitting("prepare", config, "--force") as driver:
        wait_until_it_writes(driver, config)
        victim = cluster.executors()[0]
        victim.kill()
        assert driver.poll() is None
        log = end(driver, config)
    assert "Lost executor" in log
    assert "exited with code 137" in log
    assert "FetchFailed" in log, "nothing was computed again, so nothing was tested"
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), Dataset.open(small.settings.dataset.path))
    assert not staging(config)


@pytest.mark.long  # local runs die in test_determinism.py, too
def test_a_driver_that_is_killed_leaves_the_old_dataset_and_the_rerun_repairs(
    cluster: Cluster, small: Small, tmp_path: Path
) -> None:
    config = write_config(tmp_path, small.settings.logs.path)
    shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    (tmp_path / "dataset" / "old").touch()
    before = snapshot(tmp_path / "dataset")
    with cluster.submitting("prepare", config, "--force") as driver:
        wait_until_it_writes(driver, config)
        kill_group(driver)
    (left_over,) = staging(config)
    assert snapshot(tmp_path / "dataset") == before
    with cluster.submitting("prepare", config, "--force") as driver:
        assert snapshot(tmp_path / "dataset") == before
        end(driver, config)
    assert not left_over.exists()
    assert not staging(config)
    assert not (tmp_path / "dataset" / "old").exists()
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), Dataset.open(small.settings.dataset.path))


def test_a_night_on_the_cluster_is_the_same_when_an_executor_is_killed(
    cluster: Cluster, small: Small, tmp_path: Path
) -> None:
    config, scores = write_config(tmp_path, tmp_path / "nights"), tmp_path / "scores"
    shutil.copytree(small.settings.run.bundle, tmp_path / "run" / "bundle")
    write_large_night(small, tmp_path / "nights" / f"dt={NIGHT}", copies=60)
    run_main("score", config, "--date", NIGHT)
    alone = published_scores(scores)[f"dt={NIGHT}"]
    with cluster.submitting("score", config, "--date", NIGHT) as driver:
        end(driver, config)
    undisturbed = published_scores(scores)[f"dt={NIGHT}"]

    with cluster.submitting("score", config, "--date", NIGHT) as driver:
        stage = wait_for(lambda: list(scores.glob(".staging-*/_unfinished/*.parquet")), "a task writes")
        assert stage
        cluster.executors()[0].kill()
        log = end(driver, config)
    assert "Lost executor" in log
    assert "Lost task" in log, "no task was tried again, so nothing was tested"
    found = published_scores(scores)[f"dt={NIGHT}"]
    assert found == undisturbed
    assert [row["event_id"] for row in found] == [row["event_id"] for row in alone]
    differences = [abs(one["score"] - other["score"]) for one, other in zip(found, alone, strict=True)]
    assert max(differences) < 1e-6, "another kernel adds in another order"
