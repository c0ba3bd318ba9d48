"""What a person and a log see of a training: a progress bar, a line an epoch, and a file of JSON lines."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.console import bar, messages


@dataclass(frozen=True)
class Epoch:
    """What one epoch brought, over all ranks."""

    model: str
    number: int
    steps: int
    metric: str
    """What the next two are."""
    train: float
    """Of the training outputs as they came, dropout included."""
    valid: float
    rows_per_second: float


class Watcher:
    """Follows a training. On ranks other than 0 it keeps silent and writes nothing."""

    def __init__(self, history: Path, rank: int) -> None:
        self._history, self._speaks = history, rank == 0
        if self._speaks:
            history.parent.mkdir(parents=True, exist_ok=True)
            history.write_text("", encoding="utf-8")

    def starts(self, model: str, how: str) -> None:
        """Say what computes a model."""
        if self._speaks:
            messages.print(f"  {model:<4} {how}")

    def resumes(self, model: str, epochs: Sequence[Epoch], epoch: int, step: int) -> None:
        """Take up the history of a model that goes on from a checkpoint."""
        if self._speaks:
            for done in epochs:
                self._append(done)
            messages.print(f"  {model:<4} goes on in epoch {epoch} after step {step:,}")

    @contextmanager
    def epoch(self, model: str, number: int, rows: int) -> Iterator[Callable[[int, float], None]]:
        """Follow one epoch of `rows` rows. The callable takes the rows and the mean loss of each step."""
        look = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        shown = self._speaks and messages.is_terminal
        with Progress(*look, console=messages, transient=True, disable=not shown) as progress:
            task = progress.add_task(f"{model} epoch {number}", total=rows, rate="")

            def advance(step_rows: int, loss: float) -> None:
                speed = progress.tasks[0].speed or 0.0
                progress.update(task, advance=step_rows, rate=f"{speed:,.0f} rows/s  loss {loss:.4f}")

            yield advance

    def epoch_done(self, epoch: Epoch, is_best: bool) -> None:
        """Print a line and append it to the history."""
        if not self._speaks:
            return
        self._append(epoch)
        mark = "*" if is_best else " "
        messages.print(
            f"  {epoch.model:<4}{epoch.number:>3}{mark} train {epoch.train:.4f}  valid {epoch.valid:.4f}  "
            f"{bar(epoch.valid):<20} {epoch.rows_per_second:>8,.0f} rows/s"
        )

    def _append(self, epoch: Epoch) -> None:
        with self._history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(epoch)) + "\n")
