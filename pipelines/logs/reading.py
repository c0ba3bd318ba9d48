"""Reading raw logs of any supported format as columns of text."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, AtomicType, DataType, StringType, StructField, StructType

from afm_core.errors import LogsError
from afm_core.features import Tags
from afm_core.settings import Settings
from afm_core.settings.data import Logs
from pipelines.logs.sources import PARTITION, base_folder, find_logs
from pipelines.spark import literal, url

CORRUPT = "_corrupt"
"""The raw line where the reader could not parse it, else null."""
FILE = "_file"
"""Where the row came from."""
LIST = "\u001f"
"""Before each element of a list that became text: elements may hold any separator."""
_FOREIGN = "\u001e"  # what a log's own U+001F becomes in tags, so that it cannot pass for ours; both are rejected
_LINE = "value"
_LONGEST_LIST = 400  # characters of a message
_NEVER_QUOTED = "\uffff"  # no character: Spark's own way to say "no quotes" takes NUL for one
_WIDEST = 20_480  # columns that Spark's parser of CSV has room for; it fails the job where a line has more


def read_logs(spark: SparkSession, settings: Settings, night: Path | None = None, labelled: bool = False) -> DataFrame:
    """Read the columns that the settings name, as text, plus `CORRUPT` and `FILE`. Nothing is judged here.

    Lists of tags fields become text in which `LIST` stands before each element.

    Args:
        night: the folder of one night, read whole instead of `settings.logs.path` between its dates.
        labelled: whether to read the columns that only training needs: label, weight and time of the split.

    Raises:
        LogsError: nothing at the path, no rows' worth of columns, a column missing, or one that is not a plain value.
    """
    logs = settings.logs
    wanted = wanted_columns(settings, labelled)
    lists = [field.source for field in settings.fields if isinstance(field, Tags)]
    if logs.format == "table" and night is None:
        raw = _as_text(_table(spark, logs), logs, wanted, lists)
    else:
        raw = _read_files(spark, logs, night, wanted, lists)
    if night is None:
        raw = _within_dates(raw, logs)
    return raw.select(*map(column, wanted), CORRUPT, FILE)


def wanted_columns(settings: Settings, labelled: bool) -> list[str]:
    """Columns of the logs: keys, those that fields read, and if `labelled` label, weight and time; each once."""
    fields = [column for field in settings.fields for column in field.sources]
    others = [settings.label.column, settings.label.weight, settings.split.time] if labelled else []
    return list(dict.fromkeys([*settings.logs.keys, *fields, *filter(None, others)]))


def column(name: str) -> Column:
    """A column by its exact name, which may hold dots."""
    return F.col(_quoted(name))


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _read_files(spark: SparkSession, logs: Logs, night: Path | None, wanted: list[str], lists: list[str]) -> DataFrame:
    places = find_logs(logs, night)
    paths = [literal(place) for place in places]
    reader = spark.read.option("basePath", url(base_folder(night or logs.path)))
    match logs.format:
        case "csv":
            return _read_csv(reader, logs, paths, wanted, lists)
        case "json":
            raw = _read_json(reader, paths, wanted, lists)
        case "parquet" | "orc":
            raw = _as_text(_merged(reader.format(logs.format), logs, paths), logs, wanted, lists, keep_metadata=True)
        case "table":
            raise LogsError(f"{places[0]}: a night is read from files; set logs.format to that of the night's files")
    return raw.withColumn(FILE, F.col("_metadata.file_path"))


def _merged(reader: DataFrameReader, logs: Logs, paths: list[str]) -> DataFrame:
    """The columns that any of the files has; else one file's would stand for all."""
    try:
        return reader.option("mergeSchema", True).load(paths)
    except Py4JJavaError as error:
        structs = re.findall(r'"(STRUCT<.*>)"', str(error))
        if "CANNOT_MERGE_SCHEMAS" not in str(error) or len(structs) != 2:
            raise
        one, other = ({field.name: field.dataType.simpleString() for field in _fields_of(text)} for text in structs)
        differing = [
            f"{name} is {found} in some files and {other[name]} in others"
            for name, found in one.items()
            if other.get(name, found) != found
        ]
        raise LogsError(f"{logs.path}: column {', '.join(differing)}; write all files with the same types") from error


def _fields_of(struct: str) -> Iterable[StructField]:
    parsed = DataType.fromDDL(struct)
    assert isinstance(parsed, StructType)
    return parsed.fields


def _text(names: list[str]) -> StructType:
    return StructType([StructField(name, StringType()) for name in [*names, CORRUPT]])


def _read_csv(reader: DataFrameReader, logs: Logs, paths: list[str], wanted: list[str], lists: list[str]) -> DataFrame:
    """Lines, then their columns: Spark shows the whole line only where it cannot parse it, quotes are judged by it."""
    text = reader.text(paths)
    partitions = text.columns[1:]
    if logs.columns:
        names, lines = list(logs.columns), text.withColumn(CORRUPT, F.lit(None).cast("string"))
        _require_once(names, f"{logs.path}: logs.columns")
    else:
        first = text.where(F.trim(_LINE) != "").first()
        header = "" if first is None else first[_LINE]
        names = [name or f"_c{at}" for at, name in enumerate(_split_header(header, logs))]
        _require_once(names, f"{logs.path}: the header")
        lines = _lines_below(header, reader, paths)
    _require(wanted, [*names, *[name for name in partitions if name not in names]], logs)
    line = F.coalesce(CORRUPT, _LINE)
    parsed = _parsed(line, names, logs) if logs.separator_in is None else _parsed_unquoted(line, names, logs)
    folders = [column(name) for name in partitions]
    rows = lines.where(F.trim(line) != "").select(
        *folders, F.col("_metadata.file_path").alias(FILE), line.alias(_LINE), parsed.alias("_row")
    )
    values = {name: F.col("_row").getField(name) for name in wanted if name not in partitions}
    for name in set(lists) & values.keys():
        values[name] = _without_marks(values[name])
    is_malformed = F.col("_row").getField(CORRUPT).isNotNull()
    if logs.separator_in is None:
        is_malformed |= _has_unpaired_quote(F.col(_LINE), logs.separator)
    return rows.select(
        *[value.alias(name) for name, value in values.items()],
        *folders,
        FILE,
        F.when(is_malformed, F.col(_LINE)).alias(CORRUPT),
    )


def _split_header(header: str, logs: Logs) -> list[str]:
    if logs.separator_in is not None or not header:
        return []
    return next(csv.reader([header], delimiter=logs.separator))


def _lines_below(header: str, reader: DataFrameReader, paths: list[str]) -> DataFrame:
    """Every line but the headers, each of which is compared with `header` when its file is read."""
    if not header:
        return reader.schema(_text([_LINE])).csv(paths)
    reader = reader.option("header", True).option("enforceSchema", False).option("columnNameOfCorruptRecord", CORRUPT)
    reader = reader.option("sep", LIST).option("quote", _NEVER_QUOTED)
    return reader.schema(_text([header])).csv(paths).withColumnRenamed(header, _LINE)


def _parsed(line: Column, names: list[str], logs: Logs) -> Column:
    """The columns of a line as a struct, with `CORRUPT` where it has more or fewer than `names`."""
    schema = ", ".join(f"{_quoted(name)} STRING" for name in [*names, CORRUPT])
    options = {"sep": logs.separator, "escape": '"', "columnNameOfCorruptRecord": CORRUPT}
    too_wide = (F.octet_length(line) >= _WIDEST) & (_count(line, logs.separator) >= _WIDEST)
    return F.from_csv(F.when(~too_wide, line).otherwise(F.lit(logs.separator * len(names))), schema, options)


def _has_unpaired_quote(line: Column, separator: str) -> Column:
    """Whether a quote that opens or closes a value has no partner in the line: it was lost, or is in another line."""
    edge = re.escape(separator)
    return line.contains('"') & (_count(line, '"') % 2 == 1) & line.rlike(f'(^|{edge})"|"({edge}|$)')


def _count(text: Column, character: str) -> Column:
    return F.length(text) - F.length(F.replace(text, F.lit(character), F.lit("")))


def _parsed_unquoted(line: Column, names: list[str], logs: Logs) -> Column:
    """Lines without quotes, one column of which may hold the separator: it takes what the columns beside it leave."""
    separator = re.escape(logs.separator)
    groups = separator.join("(.*)" if name == logs.separator_in else f"([^{separator}]*)" for name in names)
    pattern = rf"(?s)\A{groups}\z"
    values = [F.regexp_extract(line, pattern, group).alias(name) for group, name in enumerate(names, start=1)]
    return F.struct(*values, F.when(~line.rlike(pattern), line).alias(CORRUPT))


def _read_json(reader: DataFrameReader, paths: list[str], wanted: list[str], lists: list[str]) -> DataFrame:
    raw = reader.option("columnNameOfCorruptRecord", CORRUPT).schema(_text(wanted)).json(paths)
    for name in lists:  # read as text, a list is its JSON
        text = column(name)
        elements = F.from_json(F.when(text.startswith("["), text), ArrayType(StringType()))
        raw = raw.withColumn(name, F.when(elements.isNotNull(), _joined(elements)).otherwise(_without_marks(text)))
    return raw


def _table(spark: SparkSession, logs: Logs) -> DataFrame:
    name = str(logs.path)
    try:
        return spark.table(name).withColumn(FILE, F.lit(name))
    except AnalysisException as error:
        raise LogsError(f"{name}: no such table in Spark's catalogue; set logs.path to database.table") from error


def _as_text(raw: DataFrame, logs: Logs, wanted: list[str], lists: list[str], keep_metadata: bool = False) -> DataFrame:
    """Typed columns as text, with nothing corrupt."""
    _require(wanted, raw.columns, logs)
    columns = [_plain(name, raw.schema[name].dataType, name in lists, logs) for name in wanted]
    others = [name for name in (PARTITION, FILE) if name in raw.columns and name not in wanted]
    kept = [*others, "_metadata"] if keep_metadata else others
    return raw.select(*columns, *kept, F.lit(None).cast("string").alias(CORRUPT))


def _plain(name: str, found: DataType, may_be_list: bool, logs: Logs) -> Column:
    if isinstance(found, ArrayType) and isinstance(found.elementType, AtomicType) and may_be_list:
        return _joined(F.transform(column(name), lambda element: element.cast("string"))).alias(name)
    if not isinstance(found, AtomicType):
        raise LogsError(
            f"{logs.path}: column {name} is {found.simpleString()}; "
            f"allowed are plain values (text, numbers, dates){', and lists of them' if may_be_list else ''}"
        )
    text = column(name).cast("string")
    return (_without_marks(text) if may_be_list else text).alias(name)


def _joined(elements: Column) -> Column:
    present = F.filter(elements, lambda element: F.trim(element) != "")
    return F.concat_ws("", F.transform(present, lambda element: F.concat(F.lit(LIST), _without_marks(element))))


def _without_marks(text: Column) -> Column:
    return F.translate(text, LIST, _FOREIGN)


def _require(wanted: list[str], found: list[str], logs: Logs) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        listed = _listed(found) if found else "none: the file is empty"
        raise LogsError(
            f"{logs.path}: column {', '.join(missing)} missing; found: {listed}; name the log's own columns in fields"
        )


def _listed(names: list[str]) -> str:
    """For a message: what is read as a header may be anything, such as the bytes of an image."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in ", ".join(names))
    return text if len(text) <= _LONGEST_LIST else f"{text[:_LONGEST_LIST]} ... ({len(names):,} in all)"


def _require_once(names: list[str], where: str) -> None:
    folded = [name.lower() for name in names]
    twice = list(dict.fromkeys(name for name in names if folded.count(name.lower()) > 1))
    if twice:
        raise LogsError(f"{where} names {_listed(twice)} more than once; rename the columns")


def _within_dates(raw: DataFrame, logs: Logs) -> DataFrame:
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
