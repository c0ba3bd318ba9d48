"""Hashes of rows and tables that tell nulls from absent columns and do not depend on order."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def content_hash(columns: list[str], salt: str = "") -> Column:
    """64-bit hash of a row. Spark's xxhash64 skips nulls, which would make (a, null) and (null, a) equal."""
    return F.xxhash64(F.lit(salt), *[part for name in columns for part in (F.col(name), F.col(name).isNull())])


def digest(frame: DataFrame) -> str:
    """Digest of a table whatever the order of its rows: their number, and the exact sum of their hashes."""
    total = F.sum(content_hash(frame.columns).cast("decimal(38,0)"))
    found = frame.agg(F.count(F.lit(1)).alias("rows"), total.alias("total")).first()
    assert found is not None
    return f"{found['rows']:x}-{int(found['total'] or 0) % (1 << 96):024x}"
