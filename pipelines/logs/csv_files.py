"""Reading CSV: first as lines, then parsed into columns."""

import csv
import re
from collections.abc import Collection, Sequence

from pyspark.sql import Column, DataFrame, DataFrameReader
from pyspark.sql import functions as F

from afm_core.settings.data import LogsSettings
from pipelines.logs.columns import (
    CORRUPT,
    FILE,
    LIST,
    column,
    quoted,
    require,
    require_once,
    text_schema,
    without_marks,
)

_LINE, _VALUES = "value", "_values"
_NO_QUOTE = "\uffff"  # a code point that is no character; with Spark's own "no quotes", NUL would be a quote
_MAX_COLUMNS = 20_480  # limit of Spark's CSV parser, which fails the job at a line with more columns


def read_csv(
    reader: DataFrameReader, logs: LogsSettings, paths: list[str], wanted: Sequence[str], lists: Collection[str]
) -> DataFrame:
    """Read lines and parse them here, because unpaired quotes can only be recognised in the whole line."""
    text = reader.text(paths)
    partitions = text.columns[1:]
    if logs.columns:
        names, lines = list(logs.columns), text.withColumn(CORRUPT, F.lit(None).cast("string"))
        require_once(names, f"{logs.path}: logs.columns")
    else:
        first = text.where(F.trim(_LINE) != "").first()
        header = "" if first is None else first[_LINE]
        names = [name or f"_c{index}" for index, name in enumerate(_split_header(header, logs))]
        require_once(names, f"{logs.path}: the header")
        lines = _lines_below_header(header, reader, paths)
    require(wanted, [*names, *[name for name in partitions if name not in names]], logs)
    line = F.coalesce(CORRUPT, _LINE)
    folders = [column(name) for name in partitions]
    rows = lines.where(F.trim(line) != "").select(*folders, F.col("_metadata.file_path").alias(FILE), line.alias(_LINE))
    rows = _parsed(rows, names, logs) if logs.separator_in is None else _matched(rows, names, logs)
    columns = {name: F.get(_VALUES, F.lit(names.index(name))) for name in wanted if name not in partitions}
    for name in columns.keys() & set(lists):
        columns[name] = without_marks(columns[name])
    is_malformed = F.coalesce(F.size(_VALUES), F.lit(0)) != len(names)
    if logs.separator_in is None:
        is_malformed |= _has_unpaired_quote(F.col(_LINE), logs.separator)
    return rows.select(
        *[value.alias(name) for name, value in columns.items()],
        *folders,
        FILE,
        F.when(is_malformed, F.col(_LINE)).alias(CORRUPT),
    )


def _split_header(header: str, logs: LogsSettings) -> list[str]:
    if logs.separator_in is not None or not header:
        return []
    return next(csv.reader([header], delimiter=logs.separator))


def _lines_below_header(header: str, reader: DataFrameReader, paths: list[str]) -> DataFrame:
    """All lines except the headers. Spark compares the header of each file with `header` when it reads the file."""
    if not header:
        return reader.schema(text_schema([_LINE])).csv(paths)
    reader = reader.option("header", True).option("enforceSchema", False).option("columnNameOfCorruptRecord", CORRUPT)
    reader = reader.option("sep", LIST).option("quote", _NO_QUOTE)
    return reader.schema(text_schema([header])).csv(paths).withColumnRenamed(header, _LINE)


def _parsed(rows: DataFrame, names: list[str], logs: LogsSettings) -> DataFrame:
    """Add the values of each line as an array; its length differs from that of `names` if the line is malformed.

    A line without quotes is split, which takes a third of the time of Spark's CSV parser.
    """
    schema = ", ".join(f"{quoted(name)} STRING" for name in [*names, CORRUPT])
    options = {"sep": logs.separator, "escape": '"', "columnNameOfCorruptRecord": CORRUPT}
    line, row, has_quote = F.col(_LINE), F.col("_row"), F.col(_LINE).contains('"')
    too_wide = (F.octet_length(line) >= _MAX_COLUMNS) & (_count(line, logs.separator) >= _MAX_COLUMNS)
    parsed = F.from_csv(F.when(~too_wide, line).otherwise(F.lit(logs.separator * len(names))), schema, options)
    values = F.when(row.getField(CORRUPT).isNull(), F.array(*[row.getField(name) for name in names]))
    split = F.split(line, re.escape(logs.separator), -1)
    rows = rows.withColumn("_row", F.when(has_quote, parsed))
    return rows.withColumn(_VALUES, F.when(has_quote, values).otherwise(split))


def _has_unpaired_quote(line: Column, separator: str) -> Column:
    """Whether a quote that opens or closes a value has no counterpart in the line."""
    edge = re.escape(separator)
    return line.contains('"') & (_count(line, '"') % 2 == 1) & line.rlike(f'(^|{edge})"|"({edge}|$)')


def _count(text: Column, character: str) -> Column:
    return F.length(text) - F.length(F.replace(text, F.lit(character), F.lit("")))


def _matched(rows: DataFrame, names: list[str], logs: LogsSettings) -> DataFrame:
    """As `_parsed`, for lines without quotes in which one column may contain the separator."""
    separator = re.escape(logs.separator)
    groups = separator.join("(.*)" if name == logs.separator_in else f"([^{separator}]*)" for name in names)
    pattern = rf"(?s)\A{groups}\z"
    values = [F.regexp_extract(_LINE, pattern, group) for group in range(1, len(names) + 1)]
    return rows.withColumn(_VALUES, F.when(F.col(_LINE).rlike(pattern), F.array(*values)))
