"""A step of a training at which it waits for the test: what happens there happens at a known step on any machine."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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
    def opened(self) -> Path:
        return self.folder / "open"

    @property
    def told(self) -> Path:
        """Is there once Horovod has told a rank of other hosts."""
        return self.folder / "told"

    def wait(self, process: subprocess.Popen[str], ranks: int = 1) -> None:
        """Until all ranks are here."""
        self.wait_for(process, *map(self.arrived, range(ranks)))

    def wait_for(self, process: subprocess.Popen[str], *signs: Path) -> None:
        deadline = time.monotonic() + 180
        while not all(sign.exists() for sign in signs):
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline, f"{self.model} has not come to step {self.step}"
            time.sleep(0.01)

    def open(self) -> None:
        self.opened.touch()
