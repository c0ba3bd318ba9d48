"""Joining tables with more about items, users or anything else that the logs name."""

from collections.abc import Collection, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.errors import LogsError
from afm_core.settings.data import JoinSettings
from pipelines.console import printable
from pipelines.logs.columns import CORRUPT, OURS, cleaned, column
from pipelines.logs.files_as_text import read_as_text
from pipelines.logs.log_columns import LogColumns

_KEY = f"{OURS}key"


def with_joined(rows: DataFrame, columns: LogColumns) -> DataFrame:
    """Add the columns of joined tables; null in rows that name nothing of the table.

    Cost: the table is read twice; a broadcast of it, or where it is large a shuffle of the rows.

    Raises:
        LogsError: a table cannot be read, has malformed rows, or names a key twice.
    """
    for join, names in columns.joins:
        table = _table(rows.sparkSession, join, names, columns.tag_sources)
        own_key = cleaned(column(join.on), join.missing)
        rows = rows.withColumn(_KEY, own_key).join(table, _KEY, "left").drop(_KEY)
    return rows


def _table(spark: SparkSession, join: JoinSettings, names: Sequence[str], lists: Collection[str]) -> DataFrame:
    """`_KEY`, each once, and the columns."""
    key = join.key or join.on
    raw = read_as_text(spark, join.table, None, tuple(dict.fromkeys([key, *names])), lists)
    malformed = raw.where(F.col(CORRUPT).isNotNull()).first()
    if malformed is not None:
        line = printable(malformed[CORRUPT])
        raise LogsError(f"{join.where}: a line has another number of columns than the header: '{line}'; correct it")
    table = raw.select(cleaned(column(key), join.missing).alias(_KEY), *map(column, names))
    table = table.where(F.col(_KEY).isNotNull()).dropDuplicates()
    twice = table.groupBy(_KEY).count().where("count > 1").agg(F.min(_KEY), F.count(F.lit(1))).first()
    assert twice is not None
    if twice[1]:
        raise LogsError(
            f"{join.where}: {key} '{printable(twice[0])}' stands there more than once, with different values, and so "
            f"do {twice[1] - 1:,} others; each must name one row"
        )
    return table
