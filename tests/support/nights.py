"""Scoring as a process of its own, and somebody who reads what it publishes."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.scoring.night import MANIFEST, NightManifest
from tests.conftest import NIGHT, Small
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]


AT_THE_GATE = """
import os, time
from pathlib import Path
import pyarrow.parquet as pq

here, write = Path(__file__).parent, pq.ParquetWriter.write_table

def wait_and_write(*arguments, **options):
    (here / f"arrived-{os.getpid()}").touch()
    while not (here / "open").exists():
        time.sleep(0.01)
    write(*arguments, **options)

pq.ParquetWriter.write_table = wait_and_write
"""


class WritingGate:
    """Where the Python workers of a job wait with what they have scored, their files begun, until the test opens it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(AT_THE_GATE)  # which every Python runs first that finds it

    def wait(self, process: subprocess.Popen[str], workers: int) -> None:
        def here() -> bool:
            return len(list(self.folder.glob("arrived-*"))) >= workers

        wait_for(here, f"{workers} worker(s) are to write", process)

    def open(self) -> None:
        (self.folder / "open").touch()


def job(
    name: str, config: Path, *arguments: str, first: str = "", gate: WritingGate | None = None
) -> subprocess.Popen[str]:
    """A job in a session of its own.

    Args:
        first: Python that the process runs before the job, such as what kills it at a certain point.
    """
    environment = dict(os.environ)
    if gate:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(gate.folder), os.environ.get("PYTHONPATH"))))
    script = str(ROOT / "jobs" / f"{name}.py")
    command = [sys.executable, script]
    if first:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{first}\nimport jobs.{name}\njobs.{name}.main()"
        command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(
        [*command, "--config", str(config), *arguments], start_new_session=True, env=environment, **pipes
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a job that ends with `code`; what it printed."""
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code, out
    return out


def write_great_night(small: Small, folder: Path, copies: int, files: int = 12) -> None:
    """The last night of the small data set over and over, each log with an id of its own that does not compress."""
    header, *lines = (small.settings.nightly.logs / f"dt={NIGHT}" / "part-00000.csv").read_text().splitlines()
    whole = [line.partition(",") for line in lines if line.count(",") == header.count(",")]
    folder.mkdir(parents=True)
    for file in range(files):
        rows = [
            f"{hashlib.sha1(f'{event} {file} {copy}'.encode()).hexdigest()},{rest}"
            for copy in range(copies)
            for event, _, rest in whole
        ]
        (folder / f"part-{file:02}.csv").write_text("\n".join([header, *rows]) + "\n")


def contents(scores: Path) -> dict[str, list]:
    """Keys and scores of every published night."""
    columns = ["event_id", "score"]
    nights = sorted(scores.glob("dt=*"))
    return {night.name: pq.read_table(night, columns=columns).sort_by("event_id").to_pylist() for night in nights}


class Reader(threading.Thread):
    """Looks at what is published, all the time, and counts."""

    def __init__(self, scores: Path) -> None:
        super().__init__(daemon=True)
        self.scores, self.done, self.partial, self.looks = scores, threading.Event(), list[str](), 0

    def run(self) -> None:
        while not self.done.is_set():
            for night in sorted(self.scores.glob("dt=*")):
                said = NightManifest.model_validate_json((night / MANIFEST).read_text()).scored
                rows = sum(pq.read_metadata(file).num_rows for file in night.glob("*.parquet"))
                self.looks += 1
                if rows != said:
                    self.partial.append(f"{night.name}: {rows} of {said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End, and raise AssertionError if a partial night was seen, or nothing."""
        self.done.set()
        self.join()
        assert self.looks > 20
        assert not self.partial
