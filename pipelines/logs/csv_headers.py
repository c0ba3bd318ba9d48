"""Which files of the logs have which header. Columns are found by their names, file by file."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.columns import listed, require, require_once
from pipelines.logs.files.tree import FileTree, LogFile

_MOST_HEADERS = 100  # each costs a plan of its own
_OTHER_FORMATS = {
    r"PAR1.*[\x00-\x08\ufffd]": ("Parquet", "set logs.format: parquet"),
    r"ORC.*[\x00-\x08\ufffd]": ("ORC", "set logs.format: orc"),  # a header may begin with ORCID
    r'\{\s*["}]': ("JSON lines", "set logs.format: json"),
    r"PK\x03\x04": ("a ZIP archive", "unpack it"),
    r"Obj\x01": ("Avro", "write the logs as Parquet, ORC, JSON lines or CSV"),
}
"""How the first line of other formats begins."""
_UTF_16 = "(\ufffd\ufffd|\u00ff\u00fe|\u00fe\u00ff)(.\x00|\x00.)"
"""How a first line in UTF-16 begins when it is read in another encoding."""


@dataclass(frozen=True)
class Header:
    """A header line, and the files that begin with it."""

    line: str
    """As Spark reads it; empty where no file has a line."""
    names: list[str]
    files: list[Location] = field(default_factory=list)


def headers_of(
    tree: FileTree, files: Sequence[LogFile], logs: LogsSettings, wanted: Sequence[str], partitions: Sequence[str]
) -> list[Header]:
    """The different headers, most frequent first. Cost: the first line of each file, read by the driver.

    Files without a line, or whose first line only Spark can read, belong to the first header.

    Args:
        wanted: the columns to find in every file.
        partitions: columns that are names of folders, which messages list, too.

    Raises:
        LogsError: the files are no CSV, a wanted column is missing in one, a header names a column twice, or there are
            so many headers that the files seem to have none.
    """
    headers, others = dict[str, Header](), list[Location]()
    for file, first in zip(files, tree.first_lines([file.path for file in files]), strict=True):
        line = _decoded(first or b"", logs.encoding)
        if not line:
            others.append(file.path)
            continue
        if line not in headers:
            headers[line] = _header(line, file.path, logs)
        headers[line].files.append(file.path)
    ordered = sorted(headers.values(), key=lambda header: -len(header.files)) or [Header("", [])]
    ordered[0].files.extend(others)
    _require_columns(ordered, logs, wanted, partitions)
    return ordered


def _decoded(first: bytes, encoding: str) -> str:
    if encoding == "utf-16":  # a line ends within the two bytes of its end
        first = first[: len(first) // 2 * 2]
    return first.decode(encoding, errors="replace").removeprefix("\ufeff")


def _header(line: str, file: Location, logs: LogsSettings) -> Header:
    for start, (format_, remedy) in _OTHER_FORMATS.items():
        if re.match(start, line, re.DOTALL):
            raise LogsError(f"{file}: begins as {format_}, and logs.format is csv; {remedy}")
    if re.match(_UTF_16, line):
        raise LogsError(f"{file}: begins as UTF-16, and logs.encoding is {logs.encoding}; set logs.encoding: utf-16")
    names = [name or f"_c{index}" for index, name in enumerate(_split(line, logs))]
    require_once(names, f"{file}: the header")
    return Header(line, names)


def _split(header: str, logs: LogsSettings) -> list[str]:
    if len(logs.separator) > 1:
        return [name.strip(logs.quote or None) for name in header.split(logs.separator)]
    escape = None if logs.escape == logs.quote else logs.escape
    quoted_header = csv.reader(
        [header],
        delimiter=logs.separator,
        quotechar=logs.quote or None,
        quoting=csv.QUOTE_MINIMAL if logs.quote else csv.QUOTE_NONE,
        escapechar=escape,
    )
    return next(quoted_header)


def _require_columns(
    headers: list[Header], logs: LogsSettings, wanted: Sequence[str], partitions: Sequence[str]
) -> None:
    available = list(dict.fromkeys([*(name for header in headers for name in header.names), *partitions]))
    require(wanted, available, logs)
    if len(headers) > _MOST_HEADERS:
        raise LogsError(
            f"{logs.path}: its files have {len(headers):,} different first lines, such as {listed(headers[-1].names)} "
            f"in {headers[-1].files[0]}; if they have no header, name their columns in logs.columns"
        )
    for header in headers:
        missing = [name for name in wanted if name not in header.names and name not in logs.optional]
        if missing:
            raise LogsError(
                f"{header.files[0]}: column {', '.join(missing)} missing, which other files have; found: "
                f"{listed(header.names)}; correct the file, or name the column in logs.optional if it may be missing"
            )
