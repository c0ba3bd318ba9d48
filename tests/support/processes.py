"""Jobs as processes of their own, undisturbed or with a fault at a known phase."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.files import ROOT
from tests.support.waiting import wait_for


def job_command(name: str, config: Path, *arguments: str, fault: tuple[str, ...] = ()) -> list[str]:
    """The command line of a job.

    Args:
        fault: what tests/support/job_with_fault.py does to it, such as `("kill", PHASE)`.
    """
    script = [str(ROOT / "jobs" / f"{name}.py")]
    if fault:
        script = [str(ROOT / "tests" / "support" / "job_with_fault.py"), *fault, "--", name]
    return [sys.executable, *script, "--config", str(config), *arguments]


def start_job(
    name: str, config: Path, *arguments: str, fault: tuple[str, ...] = (), python_path: Path | None = None
) -> subprocess.Popen[str]:
    """Start a job in a session of its own.

    Args:
        python_path: a folder whose `sitecustomize.py` every Python process of the job runs first.
    """
    environment = dict(os.environ)
    if python_path:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(python_path), os.environ.get("PYTHONPATH"))))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = job_command(name, config, *arguments, fault=fault)
    return subprocess.Popen(command, start_new_session=True, env=environment, **pipes)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a process that must end with `code`; what it printed."""
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code, out
    return out


class WorkerGate:
    """Python workers of a night wait with their scores, their files begun, until the test opens the gate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_WAIT_BEFORE_WRITING)  # run by every Python process that finds it

    def wait(self, process: subprocess.Popen[str], workers: int) -> None:
        wait_for(
            lambda: len(list(self.folder.glob("arrived-*"))) >= workers, f"{workers} worker(s) are to write", process
        )

    def open(self) -> None:
        (self.folder / "open").touch()


_WAIT_BEFORE_WRITING = """
import os, time
from pathlib import Path
from pipelines import phases

gate = Path(__file__).parent

def wait(phase, context):
    if phase == phases.WORKER_WRITES:
        (gate / f"arrived-{os.getpid()}").touch()
        while not (gate / "open").exists():
            time.sleep(0.01)

phases.listen(wait)
"""
