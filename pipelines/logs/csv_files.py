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
    OURS,
    column,
    quoted,
    require,
    require_once,
    text_schema,
    without_marks,
)
from pipelines.logs.sources import PARTITION

_LINE, _VALUES, _ROW = "value", f"{OURS}values", f"{OURS}row"
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
    folders = [column(name) for name in partitions if name == PARTITION or name in wanted]
    rows = lines.where(F.trim(line) != "").select(*folders, F.col("_metadata.file_path").alias(FILE), line.alias(_LINE))
    rows = _with_values(rows, names, logs)
    columns = {name: _value(names.index(name), logs) for name in wanted if name not in partitions}
    for name in columns.keys() & set(lists):
        columns[name] = without_marks(columns[name])
    return rows.select(
        *[value.alias(name) for name, value in columns.items()],
        *folders,
        FILE,
        F.when(_is_malformed(len(names), logs), F.col(_LINE)).alias(CORRUPT),
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


def _with_values(rows: DataFrame, names: list[str], logs: LogsSettings) -> DataFrame:
    """Add the values of each line: as an array, or as a struct where quotes must be parsed.

    A line without quotes is split, which takes a third of the time of Spark's CSV parser.
    """
    line = F.col(_LINE)
    if logs.separator_in is not None:
        split = _split_around(names.index(logs.separator_in), len(names), logs.separator)
        return rows.withColumn(_VALUES, split)
    numbered = [f"_{position}" for position in range(len(names))]  # a header may hold any name, such as ours
    schema = ", ".join(f"{quoted(name)} STRING" for name in [*numbered, CORRUPT])
    options = {"sep": logs.separator, "escape": '"', "columnNameOfCorruptRecord": CORRUPT}
    has_quote = line.contains('"')
    too_wide = (F.octet_length(line) >= _MAX_COLUMNS) & (_count(line, logs.separator) >= _MAX_COLUMNS)
    parsed = F.from_csv(F.when(~too_wide, line).otherwise(F.lit(logs.separator * len(names))), schema, options)
    split = F.split(line, re.escape(logs.separator), -1)
    return rows.withColumns({_VALUES: F.when(~has_quote, split), _ROW: F.when(has_quote, parsed)})


def _split_around(position: int, n: int, separator: str) -> Column:
    """The values of a line without quotes in which the value at one position may contain the separator."""
    parts = F.split(_LINE, re.escape(separator), -1)
    size = F.size(parts)
    value = F.array_join(F.slice(parts, position + 1, size - n + 1), separator)
    after = F.slice(parts, size - n + position + 2, F.lit(n - 1 - position))
    return F.when(size >= n, F.concat(F.slice(parts, 1, position), F.array(value), after))


def _value(position: int, logs: LogsSettings) -> Column:
    """One value of a line; only those that are wanted are taken, because a line may have thousands."""
    value = F.get(_VALUES, F.lit(position))
    if logs.separator_in is not None:
        return value
    row = F.col(_ROW)
    parsed = F.when(row.getField(CORRUPT).isNull(), row.getField(f"_{position}"))
    return F.when(row.isNotNull(), parsed).otherwise(value)


def _is_malformed(n: int, logs: LogsSettings) -> Column:
    is_other_size = F.coalesce(F.size(_VALUES), F.lit(0)) != n
    if logs.separator_in is not None:
        return is_other_size
    row = F.col(_ROW)
    is_unparsed = row.getField(CORRUPT).isNotNull() | _has_unpaired_quote(F.col(_LINE), logs.separator)
    return F.when(row.isNotNull(), is_unparsed).otherwise(is_other_size)


def _has_unpaired_quote(line: Column, separator: str) -> Column:
    """Whether a quote that opens or closes a value has no counterpart in the line."""
    edge = re.escape(separator)
    return line.contains('"') & (_count(line, '"') % 2 == 1) & line.rlike(f'(^|{edge})"|"({edge}|$)')


def _count(text: Column, character: str) -> Column:
    return F.length(text) - F.length(F.replace(text, F.lit(character), F.lit("")))
