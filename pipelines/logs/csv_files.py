"""Reading CSV: first as lines, then parsed into columns."""

import re
from collections.abc import Collection, Sequence
from functools import partial, reduce

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
from pipelines.logs.csv_headers import headers_of
from pipelines.logs.files.tree import FileTree
from pipelines.logs.sources import PARTITION, LogSources
from pipelines.logs.whole_files import LINE, are_read_whole, lines_of_whole_files
from pipelines.spark import literal

_LINE, _VALUES, _ROW = LINE, f"{OURS}values", f"{OURS}row"
_NO_QUOTE = "\uffff"  # a code point that is no character; with Spark's own "no quotes", NUL would be a quote
_JAVA_NAMES = {"utf-8": "UTF-8", "latin-1": "ISO-8859-1"}
_MAX_COLUMNS = 20_480  # limit of Spark's CSV parser, which fails the job at a line with more columns


def read_csv(
    reader: DataFrameReader,
    tree: FileTree,
    logs: LogsSettings,
    sources: LogSources,
    wanted: Sequence[str],
    lists: Collection[str],
) -> DataFrame:
    """Read lines and parse them here, because unpaired quotes can only be recognised in the whole line.

    Files with different headers are read apart, so that columns go by their names.
    """
    paths = [literal(path) for path in sources.paths]
    partitions = reader.text(paths).columns[1:]
    in_files = [name for name in wanted if name not in partitions]
    whole = are_read_whole(logs, sources.files)
    lines_in = partial(_lines_in, reader, logs, are_read_whole=whole)
    if logs.columns:
        names = list(logs.columns)
        require_once(names, f"{logs.path}: logs.columns")
        require(in_files, names, logs)
        return _parsed(lines_in(paths, None), names, logs, wanted, lists, partitions)
    headers = headers_of(tree, sources.files, logs, in_files, partitions)
    frames = []
    for header in headers:
        # Spark compares the header of a file that has come since; of files that are read whole nobody would.
        read = paths if len(headers) == 1 and not whole else [literal(file) for file in header.files]
        lines = lines_in(read, header.line)
        lines = lines.where(F.coalesce(F.col(_LINE) != header.line, F.lit(True)))  # of files that were joined
        frames.append(_parsed(lines, header.names, logs, wanted, lists, partitions))
    return reduce(DataFrame.unionByName, frames)


def _lines_in(
    reader: DataFrameReader, logs: LogsSettings, paths: list[str], header: str | None, *, are_read_whole: bool
) -> DataFrame:
    """`_LINE`, `CORRUPT`, `FILE` and the partitions; of files with a header, the lines below it.

    Args:
        header: None for files without one.
    """
    if are_read_whole:
        return lines_of_whole_files(reader, paths, logs).withColumn(CORRUPT, F.lit(None).cast("string"))
    if header is not None:
        lines = _lines_below_header(header, reader.option("encoding", _JAVA_NAMES[logs.encoding]), paths)
    else:
        lines = reader.text(paths).withColumn(CORRUPT, F.lit(None).cast("string"))
        if logs.encoding == "latin-1":
            lines = lines.withColumn(_LINE, F.decode(F.col(_LINE).cast("binary"), _JAVA_NAMES[logs.encoding]))
    return lines.withColumn(FILE, F.col("_metadata.file_path"))


def _parsed(
    lines: DataFrame,
    names: list[str],
    logs: LogsSettings,
    wanted: Sequence[str],
    lists: Collection[str],
    partitions: Sequence[str],
) -> DataFrame:
    line = F.coalesce(CORRUPT, _LINE)
    folders = [column(name) for name in partitions if name == PARTITION or name in wanted]
    rows = lines.where(F.trim(line) != "").select(*folders, FILE, line.alias(_LINE))
    rows = _with_values(rows, names, logs)
    columns = {
        name: _value(names.index(name), logs) if name in names else F.lit(None).cast("string")
        for name in wanted
        if name not in partitions
    }
    for name in columns.keys() & set(lists):
        columns[name] = without_marks(columns[name])
    return rows.select(
        *[value.alias(name) for name, value in columns.items()],
        *folders,
        FILE,
        F.when(_is_malformed(len(names), logs), F.col(_LINE)).alias(CORRUPT),
    )


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
    split = F.split(line, re.escape(logs.separator), -1)
    if not logs.quote:
        return rows.withColumn(_VALUES, split)
    options = {"sep": logs.separator, "quote": logs.quote, "escape": logs.escape, "columnNameOfCorruptRecord": CORRUPT}
    options["multiLine"] = str(logs.multiline).lower()  # keeps line ends as they are
    has_quote = line.contains(logs.quote)
    too_wide = (F.octet_length(line) >= _MAX_COLUMNS) & (_count(line, logs.separator) >= _MAX_COLUMNS)
    parsed = F.from_csv(F.when(~too_wide, line).otherwise(F.lit(logs.separator * len(names))), schema, options)
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
    if not _parses_quotes(logs):
        return value
    row = F.col(_ROW)
    parsed = F.when(row.getField(CORRUPT).isNull(), row.getField(f"_{position}"))
    return F.when(row.isNotNull(), parsed).otherwise(value)


def _is_malformed(n: int, logs: LogsSettings) -> Column:
    is_other_size = F.coalesce(F.size(_VALUES), F.lit(0)) != n
    if not _parses_quotes(logs):
        return is_other_size
    row = F.col(_ROW)
    is_unparsed = row.getField(CORRUPT).isNotNull() | _has_unpaired_quote(F.col(_LINE), logs)
    return F.when(row.isNotNull(), is_unparsed).otherwise(is_other_size)


def _parses_quotes(logs: LogsSettings) -> bool:
    return logs.separator_in is None and bool(logs.quote)


def _has_unpaired_quote(line: Column, logs: LogsSettings) -> Column:
    """Whether a quote that opens or closes a value has no counterpart in the line, or ends the value in its middle.

    Spark's parser takes such a value as it stands, quotes included.
    """
    edge, quote = re.escape(logs.separator), re.escape(logs.quote)
    if logs.escape != logs.quote:
        line = F.replace(line, F.lit(logs.escape + logs.quote), F.lit(""))
    unpaired = (_count(line, logs.quote) % 2 == 1) & line.rlike(f"(^|{edge}){quote}|{quote}({edge}|$)")
    if logs.escape == "\\":
        return unpaired
    # Written by Spark, Hive or MySQL, with a backslash before the quotes in a value.
    return unpaired | line.rlike(rf"(^|{edge}){quote}[^{quote}]*\\{quote}(?!{edge}|{quote}|$)")


def _count(text: Column, part: str) -> Column:
    characters = F.length(text) - F.length(F.replace(text, F.lit(part), F.lit("")))
    return characters if len(part) == 1 else characters / len(part)
