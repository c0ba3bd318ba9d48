"""Hashes of rows and tables that depend on nulls but not on the order of rows."""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def content_hash(columns: Iterable[Column], salt: str = "") -> Column:
    """64-bit hash of a row. Spark's xxhash64 skips nulls, which would make (a, null) and (null, a) equal."""
    return F.xxhash64(F.lit(salt), *[part for column in columns for part in (column, column.isNull())])


def digest(frame: DataFrame) -> str:
    """Digest of a table, independent of the order of its rows: their number, and the exact sum of their hashes."""
    total = F.sum(content_hash(F.col(name) for name in frame.columns).cast("decimal(38,0)"))
    totals = frame.agg(F.count(F.lit(1)).alias("rows"), total.alias("total")).first()
    assert totals is not None
    return f"{totals['rows']:x}-{int(totals['total'] or 0) % (1 << 96):024x}"
