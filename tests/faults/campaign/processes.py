"""A job in a process group of its own, what it has printed, and the processes below it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.files import ROOT

LIMIT_SECONDS = 600
_JAVA = "-XX:TieredStopAtLevel=1"  # a JVM that lives for seconds is faster without the second compiler


@dataclass
class Job:
    """A job that is running, or has ended."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self) -> int:
        """Its exit code; what is left of its process group is then killed."""
        try:
            return self.process.wait(LIMIT_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def until(self, seen: Callable[[], object]) -> bool:
        """Wait until something is seen; whether it was before the job ended."""
        started = time.monotonic()
        while not seen():
            if self.process.poll() is not None or time.monotonic() - started > LIMIT_SECONDS:
                return False
            time.sleep(0.005)
        return True

    def until_it_has_started(self) -> bool:
        """Wait for its first output: before that, Python and its libraries are loading."""
        return self.until(lambda: self.log.stat().st_size)

    def below(self, is_one: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
        """The processes below it that are of a kind."""
        found = []
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if is_one(child):
                        found.append(child)
        return found


def start(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Job:
    """Start a job of this project."""
    inherited = {**os.environ, "OMP_NUM_THREADS": "1", "JDK_JAVA_OPTIONS": _JAVA, **(environment or {})}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, (inherited.get("PYTHONPATH"), str(ROOT))))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=inherited,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return Job(process, log)


def job_command(name: str, *arguments: object) -> list[str]:
    """The command line of a job."""
    return [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]


def is_jvm(process: psutil.Process) -> bool:
    """Whether a process is Spark's."""
    return process.name() == "java"


def is_python_worker(process: psutil.Process) -> bool:
    """Whether a process is one that scores: a child of PySpark's daemon, which looks the same."""
    parent = process.parent()
    return bool(parent and "pyspark.daemon" in process.cmdline() and "pyspark.daemon" in parent.cmdline())
