"""Starting Spark only where a job turns out to need it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from pyspark.sql import SparkSession

from pipelines.spark import spark_session

SparkOnDemand = Callable[[], SparkSession]
"""Returns the session of a job, always the same one."""


@contextmanager
def spark_on_demand(name: str, log: Path) -> Iterator[SparkOnDemand]:
    """A function whose first call enters `spark_session`, which is left with this block.

    A job that finds its output up to date, or only says what it would do, so need not wait for a JVM.

    Raises:
        MachineError, LogsError: as `spark_session`.
    """
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(spark_session(name, log)))
