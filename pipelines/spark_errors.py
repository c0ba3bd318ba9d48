"""Turning the errors of Spark, of its Python workers, and of a JVM that has died into one line each."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkException

from afm_core import errors
from afm_core.errors import AfmError, LogsError, LostSparkError, MachineError
from pipelines import spark_compat
from pipelines.submission import place_of_spark_log

_Batches = Iterable[pa.RecordBatch]
_DISK_FULL = "No space left on device|Disk quota exceeded|File too large|Read-only file system"
_MARK = f"attentional-fm-{uuid4().hex} "
"""Precedes what a worker reports. Errors of Spark quote the logs, and nobody who writes these can know it."""
_JVM_NOTE, _JVM_ERROR = "NOTE: |Picked up |WARNING: ", "Error|Exception|Unrecognized|Invalid|not found"
_LOST = (Py4JError, ConnectionError, EOFError)
"""What a call of a JVM that has died may raise."""


def reporting_errors(function: Callable[[_Batches], _Batches]) -> Callable[[_Batches], _Batches]:
    """The same function for Python workers, whose AfmErrors `one_line_errors` recognises."""
    mark = _MARK  # that of the driver: each worker has another one

    def report(batches: _Batches) -> _Batches:
        try:
            yield from function(batches)
        except AfmError as error:
            raise RuntimeError(f"{mark}{json.dumps([type(error).__name__, str(error)])}") from error

    return report


@contextmanager
def one_line_errors(log: Path) -> Iterator[None]:
    """Turn an error of Spark into one line; an AfmError that a Python worker raised keeps its class.

    Raises:
        LogsError: Spark could not read the input.
        MachineError: Spark could not write because a disk is full.
        LostSparkError: Spark's JVM has died.
        AfmError: a Python worker raised it.
    """
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise _explained(str(error), log) from error
    except _LOST as error:
        if _jvm_answers():
            raise
        raise LostSparkError(
            "Spark's JVM has died, perhaps killed because the machine was out of memory; what was published stays; run "
            f"it again, with less memory for Spark or on a larger machine (Spark's own log: {place_of_spark_log(log)})"
        ) from error


def not_started(log: Path, start: int) -> AfmError:
    """Why Spark's JVM has not started, by its log from position `start` on: if no error is there, it was killed."""
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        said = [line.strip() for line in file if not re.match(_JVM_NOTE, line)]
    problem = [at for at, line in enumerate(said) if re.search(_JVM_ERROR, line)]
    if not problem:
        return LostSparkError(
            "Spark's JVM was killed while it started, perhaps because the machine was out of memory; what was "
            f"published stays; run it again (Spark's own log: {place_of_spark_log(log)})"
        )
    words = " ".join(said[problem[0] : problem[0] + 2])[:300]
    return MachineError(f"Spark's JVM did not start: {words} (Spark's own log: {place_of_spark_log(log)})")


@contextmanager
def unless_lost() -> Iterator[None]:
    """Clean up, as far as there still is a JVM to do so."""
    try:
        yield
    except _LOST:
        if _jvm_answers():
            raise


def _jvm_answers() -> bool:
    try:
        return SparkContext._jvm is not None and SparkContext._jvm.System.currentTimeMillis() > 0
    except _LOST:
        return False


def _explained(text: str, log: Path) -> AfmError:
    from_worker = re.findall(rf"{_MARK}(\[.*\])$", text, re.MULTILINE)
    if from_worker:
        name, message = json.loads(from_worker[-1])
        return _worker_error(name, message)
    disk_full = re.search(_DISK_FULL, text)
    if disk_full:
        return MachineError(
            f"{disk_full[0]}: Spark could not write; free space where the job writes and where Spark keeps "
            f"temporary files, and run it again (Spark's own log: {place_of_spark_log(log)})"
        )
    return LogsError(f"{_essence(text)} (Spark's own log: {place_of_spark_log(log)})")


def _worker_error(name: str, message: str) -> AfmError:
    error: type[AfmError] = getattr(errors, name)
    return error(message)


def _essence(text: str) -> str:
    """What happened and to which file, from a Spark error of many lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Invalid): ", line) and "spark" not in line]
    if python:
        return python[-1].partition(": ")[2][:300]
    causes = [line for line in lines if line.startswith("Caused by: ") and "SparkException" not in line]
    said = [line for line in lines if not line.startswith("An error occurred while calling ")]  # Py4J says only this
    cause = (causes or said or ["Spark failed without a message"])[0].removeprefix("Caused by: ").removeprefix(": ")
    cause = re.sub(r"^[\w.$]+(Exception|Error): |\s*SQLSTATE: \w+", "", cause)[:300]
    file = re.search(spark_compat.FILE_IN_ERROR, text)
    if file is None:
        return cause
    return f"{re.sub('^file:/+', '/', file.group(1))}: cannot be read: {cause}; repair or remove the file"
