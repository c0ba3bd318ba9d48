"""Hashes of rows and tables that tell nulls from absent columns and do not depend on order."""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def content_hash(columns: Iterable[Column], salt: str = "") -> Column:
    """64-bit hash of a row. Spark's xxhash64 skips nulls, which would make (a, null) and (null, a) equal."""
    return F.xxhash64(F.lit(salt), *[part for column in columns for part in (column, column.isNull())])


def digest(frame: DataFrame) -> str:
    """Digest of a table whatever the order of its rows: their number, and the exact sum of their hashes."""
    total = F.sum(content_hash(F.col(name) for name in frame.columns).cast("decimal(38,0)"))
    found = frame.agg(F.count(F.lit(1)).alias("rows"), total.alias("total")).first()
    assert found is not None
    return f"{found['rows']:x}-{int(found['total'] or 0) % (1 << 96):024x}"
