"""Reading raw logs as columns of text, with those that tables and other columns add to them."""

import re
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from pipelines.logs.columns import CORRUPT, FILE, cleaned, column
from pipelines.logs.files_as_text import read_as_text
from pipelines.logs.joins import with_joined
from pipelines.logs.log_columns import DerivedColumn, LogColumns


def read_logs(spark: SparkSession, logs: LogsSettings, columns: LogColumns, night: Location | None = None) -> DataFrame:
    """Read columns of the logs as text, plus `CORRUPT` and `FILE`. No row is judged here.

    Lists of tags become text in which `LIST` precedes each element.

    Args:
        night: folder of one night to read completely, instead of `logs.path` between the dates of the settings.

    Raises:
        LogsError: there are no logs, a column is missing, a column does not hold plain values, or a joined table cannot
            be read or names a key twice.
    """
    raw = read_as_text(spark, logs, night, columns.in_files, columns.tag_sources)
    return with_added_columns(raw, columns).select(*map(column, columns.names), CORRUPT, FILE)


def with_added_columns(raw: DataFrame, columns: LogColumns) -> DataFrame:
    """Add the columns of joined tables, and those that are made of others, to the columns of the logs."""
    joined = with_joined(raw, columns)
    return (
        joined.withColumns({each.name: _derived(each, columns.missing) for each in columns.derived})
        if columns.derived
        else joined
    )


def _derived(made: DerivedColumn, missing: Sequence[str]) -> Column:
    """Missing where one of its parts is."""
    parts = [cleaned(column(name), missing) for name in made.sources]
    text = reduce(lambda left, right: F.concat(left, F.lit(" "), right), parts)
    if made.pattern:
        text = F.regexp_extract(text, made.pattern, min(1, re.compile(made.pattern).groups))
    return text
