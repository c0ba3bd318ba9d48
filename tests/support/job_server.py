"""A process that runs one kind of job again and again, each time when it is told to, in one Spark session."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from pipelines.spark import spark_session
from tests.support.files import ROOT
from tests.support.jobs import exit_code

_WITH_SPARK = ("prepare", "score")


class JobServer:
    """The other end of the process."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        command = [sys.executable, "-m", "tests.support.job_server", name, str(folder)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.wait()

    def start(self, config: Path, *arguments: str, delay: float = 0.0) -> None:
        """Start the job after some seconds; returns at once."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([delay, str(config), *arguments]) + "\n")
        self._process.stdin.flush()

    def wait(self) -> int:
        """The exit code of the job that was started."""
        assert self._process.stdout
        answer = self._process.stdout.readline()
        assert answer, self.log.read_text()[-3000:]
        return int(answer)

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


@contextmanager
def job_servers(names: tuple[str, ...], folder: Path) -> Iterator[dict[str, JobServer]]:
    """One process for each job."""
    servers: dict[str, JobServer] = {}
    try:
        for name in names:
            servers[name] = JobServer(name, folder)
        yield servers
    finally:
        for server in servers.values():
            server.stop()


def main(name: str, folder: str) -> None:
    answers = os.fdopen(os.dup(1), "w")  # what jobs and their JVM print goes to the log
    os.dup2(2, 1)
    session = spark_session(name, Path(folder) / f"{name}.spark.log", "local[1]")
    with session if name in _WITH_SPARK else nullcontext():
        print(0, file=answers, flush=True)  # ready
        for line in sys.stdin:
            delay, config, *arguments = json.loads(line)
            time.sleep(delay)
            print(exit_code(name, Path(config), *arguments), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
