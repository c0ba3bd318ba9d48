"""Jobs in this process, as their command line would run them."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pyspark.sql import SparkSession

from tests.support.files import ROOT

TRAINING_PYTHON = os.environ.get("AFM_TRAINING_PYTHON")
"""Interpreter of the environment that trains, where the tests run in one that cannot; see `make test-cluster-pins`."""


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
    """Run a job that must succeed.

    Raises:
        SystemExit: it did not; the code is its exit code.
    """
    options = ["--config", str(config), *arguments]
    if name == "train" and TRAINING_PYTHON:
        trained = subprocess.run([TRAINING_PYTHON, ROOT / "jobs" / "train.py", *options], check=False)
        if trained.returncode:
            raise SystemExit(trained.returncode)
        return
    import_module(f"jobs.{name}").main(options)  # here, because some environments cannot import all jobs


def exit_code(name: str, config: Path, *arguments: str) -> int:
    """Run a job; 0 or the code with which it exits."""
    try:
        run_main(name, config, *arguments)
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0
