"""Jobs in this process, as their command line would run them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

import jobs.compare
import jobs.evaluate
import jobs.export
import jobs.prepare
import jobs.promote
import jobs.recommend
import jobs.score
import jobs.search
import jobs.train

MAINS = {
    "prepare": jobs.prepare.main,
    "promote": jobs.promote.main,
    "train": jobs.train.main,
    "evaluate": jobs.evaluate.main,
    "export": jobs.export.main,
    "score": jobs.score.main,
    "recommend": jobs.recommend.main,
    "compare": jobs.compare.main,
    "search": jobs.search.main,
}


@dataclass(frozen=True)
class Outcome:
    """How a job ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


RunJob = Callable[..., Outcome]


def without_spark() -> SparkSession:
    """For what must not start Spark."""
    raise AssertionError("Spark was started")


def run_main(name: str, config: Path, *arguments: str) -> None:
    """Run a job that must succeed."""
    MAINS[name](["--config", str(config), *arguments])


def exit_code(name: str, config: Path, *arguments: str) -> int:
    """Run a job; 0 or the code with which it exits."""
    try:
        run_main(name, config, *arguments)
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0
