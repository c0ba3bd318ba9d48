"""Starting Spark, and what every job asks of it."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from afm_core.errors import MachineError
from afm_core.storage.locations import Location
from afm_core.storage.urls import Url
from afm_core.storage.without_links import open_without_links
from pipelines import spark_compat
from pipelines.spark_errors import not_started, one_line_errors, reporting_errors, unless_lost
from pipelines.submission import started_by_spark_submit

Batches = Iterable[pa.RecordBatch]
_JAVA_HELP = "install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.csv.parser.columnPruning.enabled": "false",  # malformed lines must not depend on the columns read
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # dt stays the text in the folder's name
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.speculation": "false",
    # Constraints on renamed columns double with every encoded field: 20 fields filled a heap of 2 GiB.
    "spark.sql.constraintPropagation.enabled": "false",
    **spark_compat.SETTINGS,
}
_SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"
_TRIES = 4
_OUTPUTS = 1, 2  # standard output and standard error
# The code that Spark generates for many fields is longer than what Java compiles by default; nights took 10 % longer.
_JAVA_OPTIONS = "-XX:+UseParallelGC -XX:-DontCompileHugeMethods"
_ROWS_PER_PARTITION = 250_000
_LOCAL_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    _SHUFFLE_PARTITIONS: str(max(2, os.cpu_count() or 2)),  # `size_shuffles` raises it with the number of rows
}


@contextmanager
def spark_session(name: str, log: Path, master: str = "local[*]") -> Iterator[SparkSession]:
    """A Spark session for one job.

    A session that is already running in this process is shared, and left running; otherwise one is started and stopped
    at the end. Under spark-submit, master and resources are those of its command line; without it the job runs on
    `master`, and the JVM's own messages go to the file `log`, so that the job's are not lost among them.

    Raises:
        MachineError: Java is missing or of an unsupported version.
        LogsError: Spark could not read the input.
        LostSparkError: Spark's JVM has died.
    """
    with one_line_errors(log):
        running = SparkSession.getActiveSession()
        if running is not None:
            with _unchanged_settings(running):
                yield running
            return
        with _own_signals():
            spark = _start(name, log, master)
        _ignore_lost_updates(spark)
        try:
            yield spark
        finally:
            with unless_lost():
                spark.stop()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep PySpark's handler of Ctrl-C away: it calls the JVM in the middle of another call, which then fails."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextmanager
def _unchanged_settings(spark: SparkSession) -> Iterator[None]:
    """Restore what a job may change in a session that it shares."""
    partitions = spark.conf.get(_SHUFFLE_PARTITIONS)
    try:
        yield
    finally:
        with unless_lost():
            spark.catalog.clearCache()
            if partitions is not None:
                spark.conf.set(_SHUFFLE_PARTITIONS, partitions)


def _start(name: str, log: Path, master: str) -> SparkSession:
    logging.getLogger().addFilter(_is_not_of_py4j)
    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a task slot is one core
    builder = SparkSession.builder.appName(name)
    for key, value in _FIXED.items():
        builder = builder.config(key, value)
    if started_by_spark_submit():
        return builder.master(_with_retries(_submitted_to() or master)).getOrCreate()
    check_java()
    for key, value in _LOCAL_DEFAULTS.items():
        builder = builder.config(key, value)
    properties = (Path(__file__).parent / "log4j2.properties").as_uri()
    builder = builder.config(
        "spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={properties} {_JAVA_OPTIONS}"
    )
    with _output_into(log):
        said = log.stat().st_size
        try:
            return builder.master(_with_retries(master)).getOrCreate()
        except PySparkRuntimeError as error:
            if "JAVA_GATEWAY_EXITED" not in str(error):
                raise
            raise not_started(log, said) from error


def _ignore_lost_updates(spark: SparkSession) -> None:
    """Let PySpark's server for accumulators not print the traceback of an update that a lost JVM breaks off.

    Uses an attribute that is not a public interface of PySpark; checked with PySpark 3.5, 4.0 and 4.3.
    """
    server = getattr(spark.sparkContext, "_accumulatorServer", None)
    if server is not None:
        print_traceback = server.handle_error

        def handle_error(*request: Any) -> None:
            if not isinstance(sys.exception(), EOFError | OSError):
                print_traceback(*request)

        server.handle_error = handle_error


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    """Py4J logs the traceback of every call that a lost JVM does not answer, and raises an error besides."""
    return "py4j" not in Path(record.pathname).parts


def _submitted_to() -> str | None:
    """The master on the command line of spark-submit, or in its defaults.

    Uses `pyspark.java_gateway`, which is not a public interface of PySpark; checked with PySpark 3.5, 4.0 and 4.3.
    """
    gateway = launch_gateway()  # type: ignore[no-untyped-call]
    try:
        master: str | None = gateway.jvm.System.getProperty("spark.master")
        return master
    finally:
        gateway.close()


def _with_retries(master: str) -> str:
    """The master with retries: on a local master Spark would give up at a task's first failure."""
    local = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master)
    return f"local[{local[1] or 1},{_TRIES}]" if local else master


def size_shuffles(spark: SparkSession, rows: int) -> None:
    """Give shuffles of this many rows enough partitions for each to fit a task; never fewer than were set."""
    wanted = max(int(spark.conf.get(_SHUFFLE_PARTITIONS) or 0), -(-rows // _ROWS_PER_PARTITION))
    spark.conf.set(_SHUFFLE_PARTITIONS, str(wanted))


def map_in_arrow(rows: DataFrame, function: Callable[[Batches], Batches], schema: StructType | str) -> DataFrame:
    """`mapInArrow` for columns of any name: PySpark itself takes the part before a dot for a struct.

    An AfmError of the function reaches the driver as what it is; see `pipelines.spark_errors`.
    """
    names, reported = rows.columns, reporting_errors(function)

    def with_names(batches: Batches) -> Batches:
        return reported(pa.RecordBatch.from_arrays(batch.columns, names=names) for batch in batches)

    numbered = rows.toDF(*[f"_{position}" for position in range(len(names))])
    return numbered.mapInArrow(with_names, schema)


def url(path: Location) -> str:
    """`path` as a URL for Spark. A path without a scheme is local, whatever the cluster's default file system is."""
    if isinstance(path, Path):
        return f"file://{path.absolute()}"
    return (path if isinstance(path, Url) else Url.parse(str(path))).for_spark


def literal(path: Location) -> str:
    """`path` as a URL for Spark to read literally, even if it contains characters of a pattern."""
    scheme, _, rest = url(path).partition("://")
    host, _, names = rest.partition("/")
    return f"{scheme}://{host}/" + re.sub(r"([\\*?\[\]{}])", r"\\\1", names)


def check_java() -> None:
    """Raise MachineError unless the Java that Spark would use is version 17 or 21."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME is {home}, which holds no bin/java" if home else "Java not found"
        raise MachineError(f"{where}: Spark needs it; {_JAVA_HELP}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', answer)
    if match is None or match.group(1) not in ("17", "21"):
        version = match.group(1) if match else "unknown"
        raise MachineError(f"Java {version} found at {java}: Spark needs 17 or 21; {_JAVA_HELP}")


@contextmanager
def _output_into(log: Path) -> Iterator[None]:
    """Let processes started inside the block write into `log`. A JVM says on standard output why it does not start."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    own = [os.dup(number) for number in _OUTPUTS]
    with open(log, "ab", opener=open_without_links) as file:
        for number in _OUTPUTS:
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for number, before in zip(_OUTPUTS, own, strict=True):
            os.dup2(before, number)
            os.close(before)
