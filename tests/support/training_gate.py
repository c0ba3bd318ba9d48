"""A step of a training at which it waits for the test: what happens there happens at a known step on any machine."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Gate:
    """The trainings of `model` wait after `step`, with their weights updated and no checkpoint of the step written."""

    folder: Path
    model: str
    step: int

    @property
    def fault(self) -> tuple[str, ...]:
        """For tests.support.processes."""
        self.folder.mkdir(parents=True)
        return ("wait", str(self.folder), self.model, str(self.step))

    def arrived(self, rank: int) -> Path:
        return self.folder / f"arrived-{rank}"

    @property
    def opened(self) -> Path:
        return self.folder / "open"

    @property
    def told(self) -> Path:
        return self.folder / "told"

    def wait(self, process: subprocess.Popen[str], ranks: int = 1) -> None:
        """Until all ranks have arrived."""
        arrivals = [self.arrived(rank) for rank in range(ranks)]
        wait_for(lambda: all(path.exists() for path in arrivals), f"{self.model} is at step {self.step}", process)

    def wait_until_told(self, process: subprocess.Popen[str]) -> None:
        """Until Horovod has told a rank of other hosts."""
        wait_for(self.told.exists, "a rank was told of other hosts", process)

    def open(self) -> None:
        self.opened.touch()
