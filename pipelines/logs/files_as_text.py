"""Reading files and tables of any supported format as columns of text."""

from collections.abc import Collection, Sequence
from functools import reduce

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.columns import CORRUPT, FILE, column, text_schema, without_marks
from pipelines.logs.csv_files import read_csv
from pipelines.logs.files.colons import options_for
from pipelines.logs.files.opening import file_tree
from pipelines.logs.files.tree import FileTree
from pipelines.logs.lists import joined
from pipelines.logs.sources import PARTITION, LogSources, find_all_logs
from pipelines.logs.typed_files import read_typed_files
from pipelines.logs.typed_text import METADATA, columns_as_text, require_free_metadata
from pipelines.logs.whole_files import LINE, are_read_whole, lines_of_whole_files
from pipelines.spark import literal, url
from pipelines.spark_compat import with_bare_numbers


def read_as_text(
    spark: SparkSession, logs: LogsSettings, night: Location | None, wanted: Sequence[str], lists: Collection[str]
) -> DataFrame:
    """The wanted columns as text, `CORRUPT` and `FILE`.

    Args:
        night: see `read_logs`.
        lists: columns that may hold lists, which become text in which `LIST` precedes each element.

    Raises:
        LogsError: as `read_logs`.
    """
    if logs.format == "table" and night is None:
        read = [_read_table(spark, logs.at(path), wanted, lists) for path in logs.paths]
    else:
        trees = [file_tree(path, lambda: spark) for path in ([night] if night else logs.paths)]
        found = find_all_logs(trees, logs, is_night=night is not None)
        read = [_read_files(spark, logs.at(tree.path), tree, sources, wanted, lists) for tree, sources in found]
    return reduce(DataFrame.union, read)


def _read_files(
    spark: SparkSession,
    logs: LogsSettings,
    tree: FileTree,
    sources: LogSources,
    wanted: Sequence[str],
    lists: Collection[str],
) -> DataFrame:
    reader = spark.read.option("basePath", url(sources.base)).options(**options_for(sources.files))
    match logs.format:
        case "csv":
            raw = read_csv(reader, tree, logs, sources, wanted, lists)
        case "json":
            raw = _read_json(reader, logs, sources, wanted, lists)
        case "parquet" | "orc":
            raw = read_typed_files(reader.format(logs.format), logs, sources, wanted, lists)
            raw = raw.withColumn(FILE, F.col(f"{METADATA}.file_path"))
        case "table":
            raise LogsError(
                f"{sources.paths[0]}: a night is read from files; set logs.format to that of the night's files"
            )
    return raw.select(*map(column, wanted), CORRUPT, FILE)


def _read_json(
    reader: DataFrameReader, logs: LogsSettings, sources: LogSources, wanted: Sequence[str], lists: Collection[str]
) -> DataFrame:
    require_free_metadata(wanted, logs)
    paths, options = [literal(path) for path in sources.paths], {"columnNameOfCorruptRecord": CORRUPT}
    if are_read_whole(logs, sources.files):
        lines = lines_of_whole_files(reader, paths, logs).where(F.trim(LINE) != "")
        parsed = F.from_json(LINE, text_schema([name for name in wanted if name not in lines.columns[1:]]), options)
        raw = lines.withColumn(LINE, parsed).select(f"{LINE}.*", *map(column, lines.columns[1:]))
    else:
        raw = reader.options(**options).schema(text_schema(list(wanted))).json(paths)
        raw = raw.withColumn(FILE, F.col(f"{METADATA}.file_path"))
    raw = with_bare_numbers(raw, {name: column(name) for name in wanted})
    for name in lists:  # read as text, a list is its JSON
        text = column(name)
        elements = F.from_json(F.when(text.startswith("["), text), ArrayType(StringType()))
        raw = raw.withColumn(name, F.when(elements.isNotNull(), joined(elements)).otherwise(without_marks(text)))
    return raw


def _read_table(spark: SparkSession, logs: LogsSettings, wanted: Sequence[str], lists: Collection[str]) -> DataFrame:
    name = str(logs.path)
    try:
        raw = spark.table(name).withColumn(FILE, F.lit(name))
    except AnalysisException as error:
        raise LogsError(f"{name}: no such table in Spark's catalogue; set logs.path to database.table") from error
    raw = _within_dates(columns_as_text(raw, logs, wanted, lists), logs)
    return raw.select(*map(column, wanted), CORRUPT, FILE)


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
