"""What people and programs see of a training: a progress bar, a line an epoch, JSON lines, and TensorBoard's files."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from afm_core.settings.run import RunSettings
from pipelines.console import bar, messages


@dataclass(frozen=True)
class Epoch:
    """What one epoch brought, over all ranks."""

    model: str
    number: int
    steps: int
    rows: int
    """That were seen, each once."""
    metric: str
    """What the next two are."""
    train: float
    """Of the training outputs as they came, dropout included."""
    valid: float
    rows_per_second: float
    feed_wait: float
    """Share of the training's seconds in which rank 0 waited for its next batch."""
    learning_rate: float
    """At its end."""
    resident_mib: list[int]
    """Memory of each rank at its end."""


class Tracker(Protocol):
    """Somewhere else that keeps what a training brought."""

    def starts(self, model: str, settings: dict[str, Any]) -> None:
        """Begin with a model; the one before is over."""

    def epoch_done(self, epoch: Epoch) -> None:
        """Keep the numbers of an epoch."""

    def ends(self) -> None:
        """The last model is over."""


class TrainingLogger:
    """Follows a training. On ranks other than 0 it keeps silent and writes nothing."""

    def __init__(self, run: RunSettings, rank: int, tracker: Tracker | None = None) -> None:
        self._run, self._speaks, self._tracker = run, rank == 0, tracker
        self._scalars: SummaryWriter | None = None
        if self._speaks:
            run.path.mkdir(parents=True, exist_ok=True)
            run.history.write_text("", encoding="utf-8")
            shutil.rmtree(run.tensorboard, ignore_errors=True)

    def starts(self, model: str, how: str, settings: dict[str, Any]) -> None:
        """Begin with a model, and say what computes it.

        Args:
            settings: flat, for the tracker.
        """
        if self._tracker:
            self._tracker.starts(model, settings)
        if self._speaks:
            self._scalars = SummaryWriter(str(self._run.tensorboard / model))
            messages.print(f"  {model:<4} {how}".rstrip())

    def resumes(self, model: str, epochs: Sequence[Epoch], epoch: int, step: int) -> None:
        """Take up the history of a model that goes on from a checkpoint."""
        if self._speaks:
            for done in epochs:
                self._append(done)
                self._draw(done)
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
        self._draw(epoch)
        if self._tracker:
            self._tracker.epoch_done(epoch)
        mark = "*" if is_best else " "
        messages.print(
            f"  {epoch.model:<4}{epoch.number:>3}{mark} train {epoch.train:.4f}  valid {epoch.valid:.4f}  "
            f"{bar(epoch.valid):<20} {epoch.rows_per_second:>8,.0f} rows/s"
        )

    def ends(self) -> None:
        """The last model is trained."""
        if self._tracker:
            self._tracker.ends()

    def attention(self, epoch: int, weights: Tensor) -> None:
        """Keep a histogram of attention weights."""
        if self._scalars:
            self._scalars.add_histogram("attention x pairs", weights, epoch)

    def _draw(self, epoch: Epoch) -> None:
        assert self._scalars is not None
        values = {
            f"training/{epoch.metric}": epoch.train,
            f"validation/{epoch.metric}": epoch.valid,
            "learning rate": epoch.learning_rate,
            "rows a second": epoch.rows_per_second,
            "feed wait": epoch.feed_wait,
            "resident MiB of rank 0": epoch.resident_mib[0],
        }
        for name, value in values.items():
            self._scalars.add_scalar(name, value, epoch.number)
        self._scalars.flush()

    def _append(self, epoch: Epoch) -> None:
        with self._run.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(epoch)) + "\n")
