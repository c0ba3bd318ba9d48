"""The stages of a Spark job as a person sees them: progress while one runs, a line with its time when it is done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from pipelines.console import messages


class _SparkTasks(ProgressColumn):
    """Tasks of the running Spark stages: how many are done, and how many there are so far."""

    def __init__(self, spark: SparkSession) -> None:
        super().__init__()
        self._tracker = spark.sparkContext.statusTracker()

    def render(self, task: Task) -> Text:
        infos = [self._tracker.getStageInfo(stage) for stage in self._tracker.getActiveStageIds()]
        done = sum(info.numCompletedTasks for info in infos if info)
        total = sum(info.numTasks for info in infos if info)
        return Text(f"{done}/{total} tasks" if total else "")


class Stages:
    """Times the stages of a Spark job and shows each of them."""

    def __init__(self, spark: SparkSession) -> None:
        self._columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), _SparkTasks(spark)]
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, title: str) -> Iterator[Callable[[str], None]]:
        """Run one stage. The callable that is yielded takes text about the result for the stage's closing line."""
        results: list[str] = []
        start = time.monotonic()
        with Progress(*self._columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
            progress.add_task(title)
            yield results.append
        self.seconds[title] = round(time.monotonic() - start, 2)
        messages.print(f"  {title:<28}{self.seconds[title]:>7.1f} s   {'; '.join(results)}")
