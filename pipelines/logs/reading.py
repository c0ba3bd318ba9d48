"""Reading raw logs of any supported format as columns of text."""

import re
from collections.abc import Collection, Iterable, Sequence

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, AtomicType, DataType, StringType, StructField

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.columns import CORRUPT, FILE, LIST, column, require, require_once, text_schema, without_marks
from pipelines.logs.csv_files import read_csv
from pipelines.logs.files.opening import file_tree
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.sources import PARTITION, find_logs
from pipelines.logs.typed_text import as_text
from pipelines.spark import literal, url
from pipelines.spark_compat import parse_struct

_METADATA = "_metadata"


def read_logs(spark: SparkSession, logs: LogsSettings, columns: LogColumns, night: Location | None = None) -> DataFrame:
    """Read columns of the logs as text, plus `CORRUPT` and `FILE`. No row is judged here.

    Lists of tags become text in which `LIST` precedes each element.

    Args:
        night: folder of one night to read completely, instead of `logs.path` between the dates of the settings.

    Raises:
        LogsError: there are no logs, a column is missing, or a column does not hold plain values.
    """
    wanted, lists = columns.names, columns.tag_sources
    if night is not None:  # errors name what is read
        logs = logs.model_copy(update={"path": night})
    if logs.format == "table" and night is None:
        raw = _within_dates(_as_text(_table(spark, logs), logs, wanted, lists), logs)
    else:
        raw = _read_files(spark, logs, night, wanted, lists)
    return raw.select(*map(column, wanted), CORRUPT, FILE)


def _read_files(
    spark: SparkSession, logs: LogsSettings, night: Location | None, wanted: Sequence[str], lists: Collection[str]
) -> DataFrame:
    sources = find_logs(file_tree(night or logs.path, lambda: spark), logs, is_night=night is not None)
    paths = [literal(path) for path in sources.paths]
    reader = spark.read.option("basePath", url(sources.base))
    match logs.format:
        case "csv":
            return read_csv(reader, logs, paths, wanted, lists)
        case "json":
            raw = _read_json(reader, logs, paths, wanted, lists)
        case "parquet" | "orc":
            raw = _as_text(_merged(reader.format(logs.format), logs, paths), logs, wanted, lists, keep_metadata=True)
        case "table":
            raise LogsError(
                f"{sources.paths[0]}: a night is read from files; set logs.format to that of the night's files"
            )
    return raw.withColumn(FILE, F.col(f"{_METADATA}.file_path"))


def _merged(reader: DataFrameReader, logs: LogsSettings, paths: list[str]) -> DataFrame:
    """Read the columns of all files; Spark alone would take those of one file for all."""
    try:
        return reader.option("mergeSchema", True).load(paths)
    except AnalysisException as error:  # its message names neither the path nor a remedy
        reason = re.sub(r"^\[\w+(\.\w+)*\] |\s*SQLSTATE: \w+", "", str(error).splitlines()[0])
        remedy = "write times in microseconds" if "NANOS" in reason else "correct the files"
        raise LogsError(f"{logs.path}: cannot be read: {reason.rstrip('.')}; {remedy}") from error
    except Py4JJavaError as error:
        nanoseconds = re.search(r"Illegal Parquet type: .*NANOS.*?\)\)", str(error))
        if nanoseconds:  # Spark 3.5; later versions raise an AnalysisException
            raise LogsError(f"{logs.path}: cannot be read: {nanoseconds[0]}; write times in microseconds") from error
        structs = re.findall(r'"(STRUCT<.*>)"', str(error))
        if "CANNOT_MERGE_SCHEMAS" not in str(error) or len(structs) != 2:
            raise
        one, other = ({field.name: field.dataType.simpleString() for field in _fields_of(text)} for text in structs)
        differing = [
            f"{name} is {kind} in some files and {other[name]} in others"
            for name, kind in one.items()
            if other.get(name, kind) != kind
        ]
        raise LogsError(f"{logs.path}: column {', '.join(differing)}; write all files with the same types") from error


def _require_free_metadata(names: Sequence[str], logs: LogsSettings) -> None:
    """Raise LogsError where a column of the logs hides the one in which Spark tells the file of a row."""
    if any(name.lower() == _METADATA for name in names):
        raise LogsError(f"{logs.path}: column {_METADATA} has the name of a column of Spark's own; rename it")


def _fields_of(struct: str) -> Iterable[StructField]:
    return parse_struct(struct).fields


def _read_json(
    reader: DataFrameReader, logs: LogsSettings, paths: list[str], wanted: Sequence[str], lists: Collection[str]
) -> DataFrame:
    _require_free_metadata(wanted, logs)
    raw = reader.option("columnNameOfCorruptRecord", CORRUPT).schema(text_schema(list(wanted))).json(paths)
    for name in lists:  # read as text, a list is its JSON
        text = column(name)
        elements = F.from_json(F.when(text.startswith("["), text), ArrayType(StringType()))
        raw = raw.withColumn(name, F.when(elements.isNotNull(), _joined(elements)).otherwise(without_marks(text)))
    return raw


def _table(spark: SparkSession, logs: LogsSettings) -> DataFrame:
    name = str(logs.path)
    try:
        return spark.table(name).withColumn(FILE, F.lit(name))
    except AnalysisException as error:
        raise LogsError(f"{name}: no such table in Spark's catalogue; set logs.path to database.table") from error


def _as_text(
    raw: DataFrame, logs: LogsSettings, wanted: Sequence[str], lists: Collection[str], keep_metadata: bool = False
) -> DataFrame:
    """Cast typed columns to text; no row is corrupt."""
    require(wanted, raw.columns, logs)
    require_once(raw.columns, f"{logs.path}: the schema")
    if keep_metadata:
        _require_free_metadata(raw.columns, logs)
    columns = [_plain(name, raw.schema[name].dataType, name in lists, logs) for name in wanted]
    others = [name for name in (PARTITION, FILE) if name in raw.columns and name not in wanted]
    kept = [*others, _METADATA] if keep_metadata else others
    return raw.select(*columns, *kept, F.lit(None).cast("string").alias(CORRUPT))


def _plain(name: str, type_: DataType, may_be_list: bool, logs: LogsSettings) -> Column:
    if isinstance(type_, ArrayType) and isinstance(type_.elementType, AtomicType) and may_be_list:
        element_type = type_.elementType
        return _joined(F.transform(column(name), lambda element: as_text(element, element_type))).alias(name)
    if not isinstance(type_, AtomicType):
        raise LogsError(
            f"{logs.path}: column {name} is {type_.simpleString()}; "
            f"allowed are plain values (text, numbers, dates){', and lists of them' if may_be_list else ''}"
        )
    text = as_text(column(name), type_)
    return (without_marks(text) if may_be_list else text).alias(name)


def _joined(elements: Column) -> Column:
    present = F.filter(elements, lambda element: F.trim(element) != "")
    return F.concat_ws("", F.transform(present, lambda element: F.concat(F.lit(LIST), without_marks(element))))


def _within_dates(raw: DataFrame, logs: LogsSettings) -> DataFrame:
    if logs.first_date is None and logs.last_date is None:
        return raw
    if PARTITION not in raw.columns:
        raise LogsError(
            f"{logs.path}: logs.first_date and logs.last_date need {PARTITION}=YYYY-MM-DD folders, none found"
        )
    if logs.first_date is not None:
        raw = raw.where(F.col(PARTITION) >= logs.first_date.isoformat())
    if logs.last_date is not None:
        raw = raw.where(F.col(PARTITION) <= logs.last_date.isoformat())
    return raw
