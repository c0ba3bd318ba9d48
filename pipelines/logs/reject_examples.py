"""The rejected row that an error shows: where it is, and what is wrong with it."""

import json
import re
from urllib.parse import unquote

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location, is_file_url, local_path
from afm_core.storage.urls import Url
from pipelines.console import printable
from pipelines.spark import literal

_LONGEST = 120  # characters of a value or line
_ACCEPTED = {
    "not_a_label": "accepted are 0 and 1, -1 and 1, false and true; see label.positive, at_least and range for others",
    "not_a_timestamp": "accepted are ISO 8601 and seconds since 1970 from 1990 to 2100; set the format of others",
    "not_an_integer": "accepted are digits, with a minus sign or none",
    "not_a_number": "accepted are numbers that float32 can hold",
    "not_a_weight": "accepted are numbers from 0 on",
}


def example_of(rejects: DataFrame, logs: LogsSettings) -> str:
    """The first row, by file and text, of the most frequent reason, as text for a message.

    Cost: a scan of the rejects, and of the file up to the line where it is malformed.

    Args:
        rejects: contract `REJECT_TABLE`, not empty.
    """
    reasons = rejects.groupBy("rule", "column").count()
    most = reasons.orderBy(F.desc("count"), "rule", F.col("column").asc_nulls_first()).first()
    assert most is not None
    of_reason = F.col("rule").eqNullSafe(most["rule"]) & F.col("column").eqNullSafe(most["column"])
    row = rejects.where(of_reason).orderBy("file", "raw").first()
    assert row is not None
    where = _place(row["file"])
    if row["column"] is None:
        number = _line_number(rejects.sparkSession, row, where, logs)
        found = f"{f'line {number:,}' if number else 'a line'} of {where}: {_quoted(row['raw'])}"
    else:
        value = json.loads(row["raw"]).get(row["column"])
        found = f"{row['column']} {_quoted(value)} in {where}" if value is not None else f"a row of {where}"
    accepted = _ACCEPTED.get(row["rule"])
    may_go_on = row["column"] is None and logs.format == "csv" and logs.quote and not logs.multiline
    if may_go_on and row["raw"].count(logs.quote) % 2:
        accepted = "if quoted values contain line ends, set logs.multiline"
    return f"{found}; {accepted}" if accepted else found


def _place(file: str) -> Location | str:
    """Where a row was read, as people write it; the name of a table."""
    file = re.sub("^file:/(?!/)", "file:///", file)  # as Hadoop writes it
    if is_file_url(file):
        return local_path(file)
    return Url.parse(unquote(file)) if "://" in file else file


def _line_number(spark: SparkSession, row: Row, file: Location | str, logs: LogsSettings) -> int | None:
    """Of the first line of a text file that equals a rejected row."""
    if logs.format not in ("csv", "json") or isinstance(file, str) or logs.multiline or logs.encoding == "utf-16":
        return None
    numbered = spark.read.text(literal(file)).coalesce(1).select("value", F.monotonically_increasing_id().alias("line"))
    text = F.col("value")
    if logs.format == "csv" and logs.encoding == "latin-1":
        text = F.decode(text.cast("binary"), "ISO-8859-1")
    found = numbered.where(text == row["raw"]).first()
    return None if found is None else int(found["line"]) + 1


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"'{printable(shown)}'"
