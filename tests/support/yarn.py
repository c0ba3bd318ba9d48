"""A real YARN with two node managers on loopback, and jobs that are submitted to it in either deploy mode."""

import json
import os
import secrets
import shlex
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any, Literal

import psutil
from pyspark.sql import SparkSession

from afm_core.storage.locations import to_location
from afm_core.storage.urls import Url
from tests.support.cluster import CONF, LOOPBACK, SPARK_HOME, running
from tests.support.documented import documented_commands
from tests.support.files import ROOT
from tests.support.remote_stores import file_system, hadoop_daemons

PLAIN = SPARK_HOME / "bin" / "spark-submit"
WITH_CODES = ROOT / "conf" / "schedule" / "spark_submit.sh"
"""The same, but ends with the exit code of the job in cluster mode, too."""
EXECUTOR = "org.apache.spark.executor.YarnCoarseGrainedExecutorBackend"
PATIENCE = 600
"""Seconds for a job. The first one on a node waits for the archive: without Hadoop's native library, unpacking starts a
process for each file."""
LAUNCH = f"yarn:yarn.am.liveness-monitor.expiry-interval-ms={PATIENCE}000"
BOTH_EXECUTORS = {
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{PATIENCE}s",
}
"""A job waits for both, also while a node unpacks the archive."""
Mode = Literal["client", "cluster"]


@dataclass(frozen=True)
class Submission:
    """A job on its way: the process of spark-submit, and the application that YARN makes of it."""

    driver: Popen[bytes]
    folder: Path
    yarn: "Yarn"
    tag: str

    def finish(self) -> int:
        """Waits until the job is done; the exit code of spark-submit."""
        return self.driver.wait(timeout=PATIENCE)

    def application(self) -> dict[str, Any]:
        """What YARN says of the application: `state`, `finalStatus`, `diagnostics` and more."""
        found = self.yarn.ask(f"apps?applicationTags={self.tag}")["apps"]
        (application,) = found["app"]
        return application

    def attempts(self) -> int:
        """How often YARN has started its driver, or in client mode the driver's companion."""
        application = self.application()["id"]
        return len(self.yarn.ask(f"apps/{application}/appattempts")["appAttempts"]["appAttempt"])

    def printed(self) -> str:
        """What spark-submit printed: in client mode the job's messages, and Spark's."""
        return (self.folder / "log").read_text(errors="replace")

    def driver_printed(self) -> str:
        """In cluster mode: what the driver printed, in the first container."""
        folder = self.application()["id"]
        files = sorted(self.yarn.folder.glob(f"nodemanager*/logs/{folder}/*_01_000001/std*"))
        return "\n".join(file.read_text(errors="replace") for file in files)


@dataclass(frozen=True)
class Yarn:
    """Where it is, and how jobs are submitted to it."""

    folder: Path
    root: Url
    rest: str
    environment: dict[str, str]

    def ask(self, what: str) -> dict[str, Any]:
        """An answer of YARN's REST interface."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows this loopback
        with opener.open(f"{self.rest}/ws/v1/cluster/{what}", timeout=30) as response:
            return json.load(response)

    def executors(self) -> list[psutil.Process]:
        """The executors' JVMs."""
        executors = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                if EXECUTOR in process.cmdline() and Path(process.cwd()).is_relative_to(self.folder):
                    executors.append(process)
        return executors

    @contextmanager
    def submitting(
        self,
        mode: Mode,
        environment: Path,
        job: str,
        config: Path,
        *arguments: str,
        options: Sequence[str] = (),
        program: Path = PLAIN,
    ) -> Iterator[Submission]:
        """Submits a job with the documented command, and `options` after those.

        Args:
            environment: the Python environment of drivers that run here.
        """
        tag = secrets.token_hex(8)
        conf = {**CONF, **BOTH_EXECUTORS, "spark.log.level": "WARN", "spark.yarn.tags": tag}
        command = [str(program), "--properties-file", str(self.folder / "spark-yarn.conf")]
        command += [argument for key, value in conf.items() for argument in ("--conf", f"{key}={value}")]
        command += [*documented_options(mode, environment, config), *options, str(ROOT / "jobs" / f"{job}.py")]
        command += ["--config", config.name if mode == "cluster" else str(config), *arguments]
        folder = config.parent / "driver"
        with running(command, folder, self.environment) as driver:
            yield Submission(driver, folder, self, tag)


def documented_options(mode: Mode, environment: Path, config: Path) -> list[str]:
    """Those of spark-submit in docs/cluster.md, with these paths."""
    command = documented_commands(f"--master yarn --deploy-mode {mode}")
    command = command.replace("$PWD/job-env", str(environment)).replace("conf/shop.yaml", str(config))
    arguments = shlex.split(command)[1:]
    (script,) = [position for position, argument in enumerate(arguments) if argument.startswith("jobs/")]
    return arguments[:script]


@contextmanager
def yarn_cluster(folder: Path) -> Iterator[Yarn]:
    """HDFS and a YARN of two node managers; skips where the kit is absent."""
    with hadoop_daemons(folder, "--yarn", "--nodemanagers", "2", "-D", LAUNCH) as facts:
        root = to_location(facts["HDFS_URL"])
        assert isinstance(root, Url)
        others = ("SPARK_", "PYSPARK_", "PYTHON", "HADOOP_", "YARN_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(others)} | {
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "PATH": f"{SPARK_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HADOOP_CONF_DIR": facts["HADOOP_CONF_DIR"],
        }
        yield Yarn(folder, root, facts["YARN_HTTP"], environment)


def put_file(spark: SparkSession, source: Path, target: Url) -> None:
    """Copy a local file of any size."""
    files, path_of = file_system(spark, target), spark._jvm.org.apache.hadoop.fs.Path
    files.copyFromLocalFile(path_of(str(source)), path_of(target.for_spark))
    files.close()
