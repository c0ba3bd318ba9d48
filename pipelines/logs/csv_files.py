"""Reading CSV: lines first, then their columns."""

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
_NEVER_QUOTED = "\uffff"  # no character: Spark's own way to say "no quotes" takes NUL for one
_WIDEST = 20_480  # columns that Spark's parser of CSV has room for; it fails the job where a line has more


def read_csv(
    reader: DataFrameReader, logs: LogsSettings, paths: list[str], wanted: Sequence[str], lists: Collection[str]
) -> DataFrame:
    """Lines, then their columns: Spark shows the whole line only where it cannot parse it, quotes are judged by it."""
    text = reader.text(paths)
    partitions = text.columns[1:]
    if logs.columns:
        names, lines = list(logs.columns), text.withColumn(CORRUPT, F.lit(None).cast("string"))
        require_once(names, f"{logs.path}: logs.columns")
    else:
        first = text.where(F.trim(_LINE) != "").first()
        header = "" if first is None else first[_LINE]
        names = [name or f"_c{at}" for at, name in enumerate(_split_header(header, logs))]
        require_once(names, f"{logs.path}: the header")
        lines = _lines_below(header, reader, paths)
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


def _lines_below(header: str, reader: DataFrameReader, paths: list[str]) -> DataFrame:
    """Every line but the headers, each of which is compared with `header` when its file is read."""
    if not header:
        return reader.schema(text_schema([_LINE])).csv(paths)
    reader = reader.option("header", True).option("enforceSchema", False).option("columnNameOfCorruptRecord", CORRUPT)
    reader = reader.option("sep", LIST).option("quote", _NEVER_QUOTED)
    return reader.schema(text_schema([header])).csv(paths).withColumnRenamed(header, _LINE)


def _parsed(rows: DataFrame, names: list[str], logs: LogsSettings) -> DataFrame:
    """Add the values of each line as an array, as long as `names` unless the line has more columns, or fewer.

    A line without quotes is split: that takes a third of the time that Spark's parser of CSV takes.
    """
    schema = ", ".join(f"{quoted(name)} STRING" for name in [*names, CORRUPT])
    options = {"sep": logs.separator, "escape": '"', "columnNameOfCorruptRecord": CORRUPT}
    line, row, has_quote = F.col(_LINE), F.col("_row"), F.col(_LINE).contains('"')
    too_wide = (F.octet_length(line) >= _WIDEST) & (_count(line, logs.separator) >= _WIDEST)
    parsed = F.from_csv(F.when(~too_wide, line).otherwise(F.lit(logs.separator * len(names))), schema, options)
    values = F.when(row.getField(CORRUPT).isNull(), F.array(*[row.getField(name) for name in names]))
    split = F.split(line, re.escape(logs.separator), -1)
    rows = rows.withColumn("_row", F.when(has_quote, parsed))
    return rows.withColumn(_VALUES, F.when(has_quote, values).otherwise(split))


def _has_unpaired_quote(line: Column, separator: str) -> Column:
    """Whether a quote that opens or closes a value has no partner in the line: it was lost, or is in another line."""
    edge = re.escape(separator)
    return line.contains('"') & (_count(line, '"') % 2 == 1) & line.rlike(f'(^|{edge})"|"({edge}|$)')


def _count(text: Column, character: str) -> Column:
    return F.length(text) - F.length(F.replace(text, F.lit(character), F.lit("")))


def _matched(rows: DataFrame, names: list[str], logs: LogsSettings) -> DataFrame:
    """As `_parsed`, without quotes; the one column that may hold the separator takes what those beside it leave."""
    separator = re.escape(logs.separator)
    groups = separator.join("(.*)" if name == logs.separator_in else f"([^{separator}]*)" for name in names)
    pattern = rf"(?s)\A{groups}\z"
    values = [F.regexp_extract(_LINE, pattern, group) for group in range(1, len(names) + 1)]
    return rows.withColumn(_VALUES, F.when(F.col(_LINE).rlike(pattern), F.array(*values)))
