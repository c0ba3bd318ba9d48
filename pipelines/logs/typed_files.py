"""Reading Parquet and ORC: the wanted columns as text, whatever types the files give to them and to others."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructType

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.columns import quoted, require
from pipelines.logs.files.colons import options_for
from pipelines.logs.sources import PARTITION, LogSources
from pipelines.logs.typed_text import columns_as_text
from pipelines.spark import literal, url

_NANOSECONDS = "NANOS"
_AS_NUMBERS = "spark.sql.legacy.parquet.nanosAsLong"


def read_typed_files(
    reader: DataFrameReader, logs: LogsSettings, sources: LogSources, wanted: Sequence[str], lists: Collection[str]
) -> DataFrame:
    """The wanted columns of all files as text; a column that a file lacks is a missing value there.

    Spark merges the columns of files only where their types are the same. Where they differ, each group of files with
    the same types is read by itself. Cost: the footers of all files, twice where types differ.

    Raises:
        LogsError: a wanted column is in no file, or holds no plain values.
    """
    paths = [literal(path) for path in sources.paths]
    try:
        frame = reader.option("mergeSchema", True).load(paths)
    except (AnalysisException, Py4JJavaError) as error:
        if _NANOSECONDS not in str(error) and "CANNOT_MERGE" not in str(error):
            raise _unreadable(logs, error) from error
    else:
        return columns_as_text(frame, logs, wanted, lists, keep_metadata=True)
    available, groups = _groups_of_equal_types(reader, sources, wanted, has_nanoseconds=logs.format == "parquet")
    require(wanted, available, logs)
    frames = [columns_as_text(group.read(reader, wanted), logs, wanted, lists, True) for group in groups]
    return reduce(DataFrame.unionByName, frames)


@dataclass(frozen=True)
class _Group:
    """Files in which the wanted columns have the same types."""

    schema: StructType
    """The wanted columns that these files have, and the day."""
    nanoseconds: frozenset[str]
    """Columns of times in nanoseconds, which Spark takes for numbers."""
    files: list[str]

    def read(self, reader: DataFrameReader, wanted: Sequence[str]) -> DataFrame:
        """The wanted columns; Spark does not look at the types of others."""
        frame, names = reader.schema(self.schema).load(self.files), set(self.schema.names)
        times = {name: F.timestamp_micros(F.expr(f"{quoted(name)} div 1000")) for name in names & self.nanoseconds}
        missing = {name: F.lit(None).cast("string") for name in wanted if name not in names}
        return frame.withColumns({**times, **missing})


def _groups_of_equal_types(
    reader: DataFrameReader, sources: LogSources, wanted: Sequence[str], *, has_nanoseconds: bool
) -> tuple[list[str], list[_Group]]:
    """The names of all columns, sorted, and the files by the types of the wanted ones.

    Cost: a small Spark job per file, which reads its footer, and another look at footers with numbers.
    """
    available, groups = set[str](), dict[tuple[str, frozenset[str]], _Group]()
    options = options_for(sources.files)
    with _nanoseconds_as_numbers():
        for file in sources.files:
            path = literal(file.path)
            whole = reader.load(path).schema
            schema = StructType([field for field in whole if field.name in wanted or field.name == PARTITION])
            numbers = [field.name for field in schema if isinstance(field.dataType, LongType)]
            nanoseconds = _in_nanoseconds(file.path, numbers if has_nanoseconds else [], options)
            available.update(whole.names)
            groups.setdefault((schema.json(), nanoseconds), _Group(schema, nanoseconds, [])).files.append(path)
    return sorted(available), list(groups.values())


def _in_nanoseconds(file: Location, numbers: Sequence[str], options: Mapping[str, str]) -> frozenset[str]:
    """Those of the columns that are times in the footer of a Parquet file, read as Spark itself does.

    Uses the JVM of the session, which is not a public interface of PySpark.
    """
    spark = SparkSession.active()
    jvm = spark._jvm
    if not numbers or jvm is None:
        return frozenset()
    hadoop = jvm.org.apache.hadoop.conf.Configuration(spark._jsc.hadoopConfiguration())
    for name, value in options.items():
        hadoop.set(name, value)
    parquet = jvm.org.apache.parquet.hadoop
    opened = parquet.ParquetFileReader.open(
        parquet.util.HadoopInputFile.fromPath(jvm.org.apache.hadoop.fs.Path(url(file)), hadoop)
    )
    try:
        footer = opened.getFileMetaData().getSchema()
        return frozenset(
            name for name in numbers if footer.containsField(name) and _NANOSECONDS in str(footer.getType(name))
        )
    finally:
        opened.close()


@contextmanager
def _nanoseconds_as_numbers() -> Iterator[None]:
    """Let Spark tell the types of files with times in nanoseconds, which it refuses otherwise."""
    spark = SparkSession.active()
    before = spark.conf.get(_AS_NUMBERS)
    spark.conf.set(_AS_NUMBERS, "true")
    try:
        yield
    finally:
        spark.conf.set(_AS_NUMBERS, before or "false")


def _unreadable(logs: LogsSettings, error: AnalysisException | Py4JJavaError) -> Exception:
    if isinstance(error, Py4JJavaError):
        unexplained: Exception = error
        return unexplained
    # Its message names neither the path nor a remedy.
    reason = re.sub(r"^\[\w+(\.\w+)*\] |\s*SQLSTATE: \w+", "", str(error).splitlines()[0])
    return LogsError(f"{logs.path}: cannot be read: {reason.rstrip('.')}; correct the files")
