"""Reporting the progress of a training: a progress bar, one line per epoch, JSON lines, and TensorBoard files."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from afm_core.errors import MachineError
from afm_core.settings.run import RunSettings
from afm_core.storage.without_links import open_without_links
from pipelines.console import bar, messages
from pipelines.training.event_files import EventFile
from pipelines.training.results import Epoch


class Tracker(Protocol):
    """A further destination of the results of a training."""

    def training_started(self, model: str, settings: dict[str, Any]) -> None:
        """The training of a model begins; that of the previous one is over."""

    def epoch_done(self, epoch: Epoch) -> None:
        """Record the results of an epoch."""

    def training_ended(self) -> None:
        """The training of the last model is over."""


class TrainingLogger:
    """Reports a training. On ranks other than 0 it prints and writes nothing."""

    def __init__(self, run: RunSettings, rank: int, tracker: Tracker | None = None) -> None:
        """Begin an empty history.

        Raises:
            MachineError: it cannot be written. The methods that append to it raise this, too.
        """
        self._run, self._is_active, self._tracker = run, rank == 0, tracker
        self._events: EventFile | None = None
        self._fastest: dict[str, float] = {}
        if self._is_active:
            self._write_history("w", "")
            shutil.rmtree(run.tensorboard, ignore_errors=True)

    def training_started(self, model: str, runs_on: str, settings: dict[str, Any]) -> None:
        """Announce the training of a model.

        Args:
            runs_on: what computes it, and on how many ranks, as text.
            settings: by dotted key, for the tracker.
        """
        if self._tracker:
            self._tracker.training_started(model, settings)
        if self._is_active:
            self._events = EventFile(self._run.tensorboard / model)
            messages.print(f"  {model:<4} {runs_on}".rstrip())

    def training_resumed(self, model: str, epochs: Sequence[Epoch], epoch: int, step: int) -> None:
        """Rewrite the history of a model whose training continues from a checkpoint."""
        if self._is_active:
            for done in epochs:
                self._append(done)
                self._write_scalars(done)
            messages.print(f"  {model:<4} continues in epoch {epoch} after step {step:,}")

    def start_validated(self, model: str, start: str, metric: str, valid: float) -> None:
        """Print a line about what a training starts from, and record it as epoch 0 for TensorBoard."""
        if self._events:
            self._events.scalars({f"validation/{metric}": valid}, 0)
            messages.print(f"  {model:<4}  0  {'start':<12}  valid {valid:.4f}  {bar(valid):<20} {start}")

    @contextmanager
    def epoch(self, model: str, number: int, rows: int) -> Iterator[Callable[[int, float | None], None]]:
        """Show the progress of an epoch of `rows` rows.

        Yields a function of the rows of a step and the mean loss of the last step whose losses were read, if any.
        """
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        visible = self._is_active and messages.is_terminal
        with Progress(*columns, console=messages, transient=True, disable=not visible) as progress:
            task = progress.add_task(f"{model} epoch {number}", total=rows, rate="")

            def advance(step_rows: int, loss: float | None) -> None:
                speed = progress.tasks[0].speed or 0.0
                shown = "" if loss is None else f"  loss {loss:.4f}"
                progress.update(task, advance=step_rows, rate=f"{speed:,.0f} rows/s{shown}")

            yield advance

    def epoch_done(self, epoch: Epoch, is_best: bool) -> None:
        """Print a line and append it to the history."""
        if not self._is_active:
            return
        self._append(epoch)
        self._write_scalars(epoch)
        if self._tracker:
            self._tracker.epoch_done(epoch)
        mark = "*" if is_best else " "
        fastest = self._fastest[epoch.model] = max(epoch.rows_per_second, self._fastest.get(epoch.model, 0.0))
        auc = "" if epoch.auc is None else f"  AUC {epoch.auc:.4f}"
        within = f"  best after step {epoch.valid_step}" if epoch.valid_step else ""
        slow = "  less than half of what it was" if epoch.rows_per_second < 0.5 * fastest else ""
        messages.print(
            f"  {epoch.model:<4}{epoch.number:>3}{mark} train {epoch.train:.4f}  valid {epoch.valid:.4f}  "
            f"{bar(epoch.valid):<20} {epoch.rows_per_second:>8,.0f} rows/s{auc}{within}{slow}"
        )

    def training_ended(self) -> None:
        """The training of the last model is over."""
        if self._tracker:
            self._tracker.training_ended()

    def attention(self, epoch: int, weights: Tensor) -> None:
        """Record a histogram of attention weights."""
        if self._events:
            self._events.histogram("attention x pairs", weights, epoch)

    def _write_scalars(self, epoch: Epoch) -> None:
        assert self._events is not None
        values = {
            f"training/{epoch.metric}": epoch.train,
            f"validation/{epoch.metric}": epoch.valid,
            "learning rate": epoch.learning_rate,
            "rows per second": epoch.rows_per_second,
            "feed wait": epoch.feed_wait,
            "resident MiB of rank 0": epoch.resident_mib[0],
        }
        if epoch.auc is not None:
            values["validation/AUC"] = epoch.auc
        self._events.scalars(values, epoch.number)

    def _append(self, epoch: Epoch) -> None:
        self._write_history("a", json.dumps(asdict(epoch)) + "\n")

    def _write_history(self, mode: str, text: str) -> None:
        try:
            self._run.work.mkdir(parents=True, exist_ok=True)
            with open(self._run.history, mode, encoding="utf-8", opener=open_without_links) as file:
                file.write(text)
        except OSError as error:
            raise MachineError(
                f"{self._run.history}: cannot be written ({error.strerror}); free space there, or set run.path to "
                "another disk, and continue from the last checkpoint with --resume auto"
            ) from error
