"""Which split an instance belongs to, and where in it."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.settings.tree import Split
from pipelines.contracts import ROW_KEY
from pipelines.preparation.negatives import POSITIVE_KEY

SPLIT = "_split"
"""0 train, 1 valid, 2 test."""


def split_unit(split: Split) -> Column:
    """What decides the split of an instance: instances in which it is equal stay together."""
    keys = {"random": ROW_KEY, "positive": POSITIVE_KEY}
    return F.col(keys.get(split.by, split.by)).cast("long")


def split_number(split: Split, seed: int) -> Column:
    """The split, by a hash of (seed, unit)."""
    uniform = F.shiftrightunsigned(F.xxhash64(F.lit(seed), F.lit("split"), split_unit(split)), 11) / F.lit(
        float(1 << 53)
    )
    return F.when(uniform < split.train, 0).when(uniform < split.train + split.valid, 1).otherwise(2)


def shuffle_key(seed: int) -> Column:
    """A hash of (seed, row_key) whose order is the order of the rows in the files."""
    return F.xxhash64(F.lit(seed), F.lit("shuffle"), ROW_KEY)


def units_in_several_splits(rows: DataFrame, split: Split) -> int:
    """How many units have instances in more than one split: 0, or the splits leak.

    Cost: one shuffle of the distinct units; nothing for `random`, where every instance is a unit of its own.
    """
    if split.by == "random":
        return 0
    by_unit = rows.groupBy(split_unit(split)).agg(F.count_distinct(SPLIT).alias("splits"))
    return by_unit.where("splits > 1").count()
