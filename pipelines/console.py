"""What a person sees while a job runs: its stages with their progress, and tables."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_WIDTH_OF_FILES = 120

screen = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
"""Results."""
messages = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _WIDTH_OF_FILES)
"""Progress and errors."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"


class _SparkTasks(ProgressColumn):
    """Tasks done and known of the running Spark stages, with an estimate of the rest."""

    def __init__(self, spark: SparkSession) -> None:
        super().__init__()
        self._tracker = spark.sparkContext.statusTracker()

    def render(self, task: Task) -> Text:
        infos = [self._tracker.getStageInfo(stage) for stage in self._tracker.getActiveStageIds()]
        done = sum(info.numCompletedTasks for info in infos if info)
        total = sum(info.numTasks for info in infos if info)
        return Text(f"{done}/{total} tasks" if total else "")


class Stages:
    """Times the stages of a Spark job, shows each while it runs and a line when it is done."""

    def __init__(self, spark: SparkSession) -> None:
        self._columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), _SparkTasks(spark)]
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, title: str) -> Iterator[Callable[[str], None]]:
        """Run one stage. The callable that is yielded takes what the closing line says of the result."""
        results: list[str] = []
        start = time.monotonic()
        with Progress(*self._columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
            progress.add_task(title)
            yield results.append
        self.seconds[title] = round(time.monotonic() - start, 2)
        messages.print(f"  {title:<28}{self.seconds[title]:>7.1f} s   {'; '.join(results)}")


def bar(share: float, width: int = 20) -> str:
    """A horizontal bar of `share` (0 to 1) of `width` characters."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def facts(title: str, rows: list[tuple[str, str]]) -> Table:
    """A table of two columns without a header: what, and how much."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", min_width=22)
    table.add_column()
    for what, value in rows:
        table.add_row(what, value)
    return table


def columns(title: str, header: list[str], rows: list[list[str]]) -> Table:
    """A table with a header; all but the first column aligned to the right, bars excepted."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position and name else "left")
    for row in rows:
        table.add_row(*row)
    return table
