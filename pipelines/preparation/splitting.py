"""Which split an instance belongs to, and where in it."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from afm_core.settings.tree import Split
from pipelines.contracts import ROW_KEY


def split_number(split: Split, seed: int) -> Column:
    """0, 1 or 2: every instance on its own, by a hash of (seed, row_key)."""
    uniform = F.shiftrightunsigned(F.xxhash64(F.lit(seed), F.lit("split"), ROW_KEY), 11) / F.lit(float(1 << 53))
    return F.when(uniform < split.train, 0).when(uniform < split.train + split.valid, 1).otherwise(2)


def shuffle_key(seed: int) -> Column:
    """A hash of (seed, row_key) whose order is the order of the rows in the files."""
    return F.xxhash64(F.lit(seed), F.lit("shuffle"), ROW_KEY)
