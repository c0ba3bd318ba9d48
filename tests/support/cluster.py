"""A Spark standalone cluster: a master, two workers, and jobs that are submitted to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyspark

from tests.support.files import ROOT, staging
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
        """The state that the master reports; empty before it listens."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows this loopback
        try:
            with opener.open(f"{self.ui}/json/", timeout=10) as response:
                return json.load(response)
        except OSError:
            return {}

    def executors(self) -> list[psutil.Process]:
        """The executors' JVMs."""
        executors = []
        for worker in self.workers:
            for child in psutil.Process(worker.pid).children():
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if EXECUTOR in child.cmdline():
                        executors.append(child)
        return executors

    @contextmanager
    def submitting(self, job: str, config: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Submits a job once no earlier one is running."""
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


def finish(driver: subprocess.Popen[bytes], config: Path) -> str:
    """Waits until the job is done and returns what it printed."""
    code = driver.wait(timeout=300)
    log = (config.parent / "driver" / "log").read_text(errors="replace")
    assert code == 0, log[-5000:]
    return log


@contextmanager
def standalone_cluster(folder: Path) -> Iterator[Cluster]:
    """A master and two workers of one core each that know nothing of the project, not even by their folder."""
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
    without_archive = subprocess.run(
        [python, "-c", "import pipelines"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert "No module named 'pipelines'" in without_archive.stderr, "the executors would not need --py-files"

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
        cluster = Cluster(url, f"http://{LOOPBACK}:{ui}", folder, environment, archive, [one, two])
        wait_for(lambda: cluster.state().get("aliveworkers") == 2, "both workers are registered")
        try:
            yield cluster
        finally:
            for executor in cluster.executors():  # executors outlive a killed worker
                executor.kill()


def wait_until_it_writes(driver: subprocess.Popen[bytes], config: Path) -> None:
    """Waits until the last stage of the job has written its first file into the staging folder."""

    def written() -> bool:
        assert driver.poll() is None, (config.parent / "driver" / "log").read_text(errors="replace")[-5000:]
        return any(file for stage in staging(config.parent / "dataset") for file in stage.glob("train/part-*"))

    wait_for(written, "the first file is written")
