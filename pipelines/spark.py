"""Starting Spark, and turning its errors into one line."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from afm_core import errors
from afm_core.errors import AfmError, LogsError, MachineError

Batches = Iterable[pa.RecordBatch]
_JAVA_HELP = "install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.csv.parser.columnPruning.enabled": "false",  # a line is malformed whichever columns are asked for
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # dt stays the text that names the folder
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.speculation": "false",
    # Constraints on renamed columns double with every field that is encoded: 20 of them filled a 2 GiB heap.
    "spark.sql.constraintPropagation.enabled": "false",
}
_TRIES = 4
_NO_ROOM = "No space left on device|Disk quota exceeded|File too large|Read-only file system"
# The loop that Spark writes for many fields is longer than what Java compiles by itself; a night took a tenth longer.
_JAVA_OPTIONS = "-XX:+UseParallelGC -XX:-DontCompileHugeMethods"
_ROWS_PER_PARTITION = 250_000
_LOCAL_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": str(max(2, os.cpu_count() or 2)),  # more where there are more rows: size_shuffles
}


@contextmanager
def spark_session(name: str, log: Path, master: str = "local[*]") -> Iterator[SparkSession]:
    """A Spark session for one job, stopped at the end.

    Under spark-submit, master and resources are those of its command line; alone, the job runs on `master`. There the
    JVM's own messages go to the file `log`, so that the job's are not lost among them.

    Raises:
        MachineError: Java is missing or too old.
        LogsError: Spark could not read the input.
    """
    with one_line_errors(log):
        spark = _start(name, log, master)
        try:
            yield spark
        finally:
            spark.stop()


def _start(name: str, log: Path, master: str) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a task slot is one core
    builder = SparkSession.builder.appName(name)
    for key, value in _FIXED.items():
        builder = builder.config(key, value)
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit has started the JVM
        return builder.master(_with_retries(_submitted_to() or master)).getOrCreate()
    check_java()
    for key, value in _LOCAL_DEFAULTS.items():
        builder = builder.config(key, value)
    properties = (Path(__file__).parent / "log4j2.properties").as_uri()
    builder = builder.config(
        "spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={properties} {_JAVA_OPTIONS}"
    )
    with _stderr_into(log):
        return builder.master(_with_retries(master)).getOrCreate()


def _submitted_to() -> str | None:
    """The master on the command line of spark-submit, or in its defaults."""
    gateway = launch_gateway()  # type: ignore[no-untyped-call]
    try:
        found: str | None = gateway.jvm.System.getProperty("spark.master")
        return found
    finally:
        gateway.close()


def _with_retries(master: str) -> str:
    """A local master under which a task is tried as often as on a cluster; by itself Spark gives up at the first."""
    local = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master)
    return f"local[{local[1] or 1},{_TRIES}]" if local else master


def size_shuffles(spark: SparkSession, rows: int) -> None:
    """Let shuffles of so many rows have enough partitions for each to fit a task; never fewer than were set."""
    key = "spark.sql.shuffle.partitions"
    wanted = max(int(spark.conf.get(key) or 0), -(-rows // _ROWS_PER_PARTITION))
    spark.conf.set(key, str(wanted))


def map_in_arrow(rows: DataFrame, made: Callable[[Batches], Batches], schema: StructType | str) -> DataFrame:
    """`mapInArrow`, for columns of any name: by itself PySpark takes what is before a dot for a struct."""
    names = rows.columns

    def named(batches: Batches) -> Batches:
        return made(pa.RecordBatch.from_arrays(batch.columns, names=names) for batch in batches)

    numbered = rows.toDF(*[f"_{at}" for at in range(len(names))])
    return numbered.mapInArrow(named, schema)


def url(path: Path) -> str:
    """`path` for Spark to write to: on this machine's file systems, whatever the cluster's default one is."""
    return f"file://{path.absolute()}"


def literal(path: Path) -> str:
    """`path` for Spark to read: exactly that, although it may hold characters that Spark takes for a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", url(path))


def check_java() -> None:
    """Raise MachineError unless the Java that Spark would use is version 17 or 21."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME is {home}, which holds no bin/java" if home else "Java not found"
        raise MachineError(f"{where}: Spark needs it; {_JAVA_HELP}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', answer)
    if found is None or found.group(1) not in ("17", "21"):
        version = found.group(1) if found else "unknown"
        raise MachineError(f"Java {version} found at {java}: Spark needs 17 or 21; {_JAVA_HELP}")


@contextmanager
def _stderr_into(log: Path) -> Iterator[None]:
    """Let processes started inside the block write their standard error into `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    ours = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


@contextmanager
def one_line_errors(log: Path) -> Iterator[None]:
    """Turn what Spark says of unreadable input into one line; an error of ours that a worker raised stays what it is.

    Raises:
        LogsError: Spark could not read the input.
        MachineError: or write, for want of room.
        AfmError: what a Python worker raised.
    """
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        ours = re.findall(r"^afm_core\.errors\.(\w+): (.+)$", str(error), re.MULTILINE)
        if ours:
            name, message = ours[-1]
            raise _error_of_ours(name, message) from error
        no_room = re.search(_NO_ROOM, str(error))
        if no_room:
            raise MachineError(
                f"{no_room[0]}: Spark could not write; make room where the job writes and where Spark keeps temporary "
                f"files, and run it again (Spark's own log: {log})"
            ) from error
        raise LogsError(f"{_essence(str(error))} (Spark's own log: {log})") from error


def _error_of_ours(name: str, message: str) -> AfmError:
    found: type[AfmError] = getattr(errors, name)
    return found(message)


def _essence(text: str) -> str:
    """What happened, and to which file, out of a Spark error of many lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Invalid): ", line) and "spark" not in line]
    if python:
        return python[-1].partition(": ")[2][:300]
    causes = [line for line in lines if line.startswith("Caused by: ") and "SparkException" not in line]
    cause = (causes or lines or ["Spark failed without a message"])[0].removeprefix("Caused by: ")
    cause = re.sub(r"^[\w.$]+(Exception|Error): |\s*SQLSTATE: \w+", "", cause)[:300]
    file = re.search(r"reading file (\S+?)\.?\s", text)
    if file is None:
        return cause
    return f"{re.sub('^file:/+', '/', file.group(1))}: cannot be read: {cause}; repair the file or take it away"
