"""Reading CSV: lines first, then their columns."""

import csv
import re

from pyspark.sql import Column, DataFrame, DataFrameReader
from pyspark.sql import functions as F

from afm_core.settings.data import Logs
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

_LINE = "value"
_NEVER_QUOTED = "\uffff"  # no character: Spark's own way to say "no quotes" takes NUL for one
_WIDEST = 20_480  # columns that Spark's parser of CSV has room for; it fails the job where a line has more


def read_csv(reader: DataFrameReader, logs: Logs, paths: list[str], wanted: list[str], lists: list[str]) -> DataFrame:
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
    parsed = _parsed(line, names, logs) if logs.separator_in is None else _parsed_unquoted(line, names, logs)
    folders = [column(name) for name in partitions]
    rows = lines.where(F.trim(line) != "").select(
        *folders, F.col("_metadata.file_path").alias(FILE), line.alias(_LINE), parsed.alias("_row")
    )
    values = {name: F.col("_row").getField(name) for name in wanted if name not in partitions}
    for name in set(lists) & values.keys():
        values[name] = without_marks(values[name])
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
        return reader.schema(text_schema([_LINE])).csv(paths)
    reader = reader.option("header", True).option("enforceSchema", False).option("columnNameOfCorruptRecord", CORRUPT)
    reader = reader.option("sep", LIST).option("quote", _NEVER_QUOTED)
    return reader.schema(text_schema([header])).csv(paths).withColumnRenamed(header, _LINE)


def _parsed(line: Column, names: list[str], logs: Logs) -> Column:
    """The columns of a line as a struct, with `CORRUPT` where it has more or fewer than `names`."""
    schema = ", ".join(f"{quoted(name)} STRING" for name in [*names, CORRUPT])
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
