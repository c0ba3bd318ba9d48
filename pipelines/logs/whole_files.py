"""Text files whose lines Spark cannot find: each is read as a whole, by a Python worker.

That is so where quoted values may contain line ends, in UTF-16, where the byte of a line end may be half of another
character, and for zstd, for which Hadoop needs a library of the machine. Cost: linear; per task the memory of one file,
decompressed, which is why other files are left to Spark.
"""

import re
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, DataFrameReader
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from pipelines.logs.columns import FILE, column
from pipelines.logs.files.first_lines import ZSTD, decompressed
from pipelines.logs.files.tree import LogFile
from pipelines.spark import map_in_arrow

LINE = "value"
_CONTENT = "content"
_N_COLUMNS_OF_SPARK = 4  # path, time, length and content; partitions follow
_LINES_PER_BATCH = 65_536


def are_read_whole(logs: LogsSettings, files: Sequence[LogFile]) -> bool:
    """Whether the files must be read whole. A single zstd file is enough for all of them."""
    return logs.multiline or logs.encoding == "utf-16" or any(file.path.name.endswith(ZSTD) for file in files)


def lines_of_whole_files(reader: DataFrameReader, paths: list[str], logs: LogsSettings) -> DataFrame:
    """`LINE` as UTF-8, `FILE` and the partitions; a line holds whole values."""
    files = reader.format("binaryFile").load(paths)
    partitions = files.columns[_N_COLUMNS_OF_SPARK:]
    files = files.select(_CONTENT, F.col("_metadata.file_path").alias(FILE), *map(column, partitions))
    texts = [StructField(name, StringType()) for name in files.columns[1:]]
    split = partial(_batches_of_lines, logs=logs)
    lines = map_in_arrow(files, split, StructType([StructField(LINE, BinaryType()), *texts]))
    return lines.withColumn(LINE, F.col(LINE).cast("string"))


def _batches_of_lines(files: Iterator[pa.RecordBatch], logs: LogsSettings) -> Iterator[pa.RecordBatch]:
    for batch in files:
        for row in batch.to_pylist():
            content = row.pop(_CONTENT)
            lines = lines_of(_as_utf8(content, row[FILE], logs), logs)
            for start in range(0, len(lines), _LINES_PER_BATCH):
                part = pa.array(lines[start : start + _LINES_PER_BATCH], pa.binary())
                others = [pa.array([value], pa.string()).take(pa.array([0] * len(part))) for value in row.values()]
                yield pa.RecordBatch.from_arrays([part, *others], names=[LINE, *row])


def _as_utf8(content: bytes, file: str, logs: LogsSettings) -> bytes:
    try:
        content = decompressed(content, file)
        if logs.encoding == "utf-16" and content and not content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise ValueError("UTF-16 without a byte order mark")
        if logs.encoding != "utf-8":
            content = content.decode(logs.encoding).encode()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise LogsError(f"{file}: cannot be read: {error}; repair the file or take it away") from error
    return content.removeprefix(b"\xef\xbb\xbf")


def lines_of(content: bytes, logs: LogsSettings) -> list[bytes]:
    """The lines, without their ends. Where values may contain line ends, those within quotes are part of the line.

    A quote that is not closed before the end of the file opens nothing.
    """
    if not logs.multiline or not logs.quote:
        return re.split(rb"\r\n|\n|\r", content)
    parts = re.split(rb"(\r\n|\n|\r)", content)
    lines, ends = parts[::2], [*parts[1::2], b""]
    quote, opens = logs.quote.encode(), _opens_a_value(logs)
    odd = [at for at, line in enumerate(lines) if _n_quotes(line, quote, logs) % 2]
    whole, done, position = list[bytes](), 0, 0
    while position < len(odd):
        first = odd[position]
        position += 1
        if position == len(odd) or not opens(lines[first]):
            continue
        last = odd[position]
        position += 1
        whole += lines[done:first]
        whole.append(b"".join(part for at in range(first, last) for part in (lines[at], ends[at])) + lines[last])
        done = last + 1
    return whole + lines[done:]


def _n_quotes(line: bytes, quote: bytes, logs: LogsSettings) -> int:
    if logs.escape != logs.quote:
        escape = logs.escape.encode()
        line = line.replace(escape + escape, b"").replace(escape + quote, b"")
    return line.count(quote)


def _opens_a_value(logs: LogsSettings) -> Callable[[bytes], object]:
    edge, quote = re.escape(logs.separator.encode()), re.escape(logs.quote.encode())
    return re.compile(rb"(?:^|" + edge + rb")" + quote).search
