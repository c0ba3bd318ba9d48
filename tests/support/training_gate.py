"""A step of a training at which it waits for the test: what happens there happens at a known step on any machine."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Gate:
    folder: Path
    model: str
    step: int

    def command(self) -> list[str]:
        """jobs/train.py with the gate in it; its arguments follow."""
        self.folder.mkdir(parents=True)
        script = str(ROOT / "tests" / "end_to_end" / "gated_train.py")
        return [sys.executable, script, str(self.folder), self.model, str(self.step)]

    def arrived(self, rank: int) -> Path:
        return self.folder / f"arrived-{rank}"

    @property
    def open_for_reading(self) -> Path:
        return self.folder / "open"

    @property
    def told(self) -> Path:
        return self.folder / "told"

    def wait(self, process: subprocess.Popen[str], ranks: int = 1) -> None:
        """Until all ranks are here."""
        here = [self.arrived(rank) for rank in range(ranks)]
        wait_for(lambda: all(sign.exists() for sign in here), f"{self.model} is at step {self.step}", process)

    def wait_until_told(self, process: subprocess.Popen[str]) -> None:
        """Until Horovod has told a rank of other hosts."""
        wait_for(self.told.exists, "a rank was told of other hosts", process)

    def open(self) -> None:
        self.open_for_reading.touch()
