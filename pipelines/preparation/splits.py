"""Which split an instance belongs to, and where in it."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from afm_core.settings.data import SplitSettings
from pipelines.contracts import LABEL, ROW_KEY
from pipelines.logs.values import timestamp
from pipelines.preparation.negatives.expansion import POSITIVE_KEY

SPLIT = "_split"
"""0 train, 1 valid, 2 test."""
_SECONDS, _PLACE = "_seconds", "_place"
_DAY = 86_400


def with_time(logs: DataFrame, split: SplitSettings) -> DataFrame:
    """Add what splits by time need from the raw logs: seconds since 1970."""
    return logs.withColumn(_SECONDS, F.unix_timestamp(timestamp(F.col(split.time)))) if split.time else logs


def with_places(rows: DataFrame, split: SplitSettings, seed: int) -> DataFrame:
    """Add what `split_number` needs to know of an instance's positive besides its own columns.

    By time: the days from the log to the last day. Leaving one out: 0 for the last positive of each value of
    `split.of` and for its negatives, 1 for the one before. Cost: one pass, or two shuffles of the instances.
    """
    match split.by:
        case "time":
            day = F.floor(F.col(_SECONDS) / _DAY)
            last = rows.agg(F.max(day)).collect()[0][0]
            return rows.withColumn(_PLACE, F.lit(last) - day)
        case "leave_one_out":
            assert split.of is not None
            latest_first = [F.desc_nulls_last(_SECONDS)] if split.time else []
            by_hash = F.xxhash64(F.lit(seed), F.lit("last"), ROW_KEY)
            rank = F.row_number().over(Window.partitionBy(split.of).orderBy(*latest_first, by_hash))
            last_two = rows.where(F.col(LABEL) > 0).withColumn("_rank", rank).where("_rank <= 2")
            places = last_two.select(POSITIVE_KEY, (F.col("_rank") - 1).cast("long").alias(_PLACE))
            return rows.join(places, POSITIVE_KEY, "left")
    return rows


def split_unit(split: SplitSettings) -> Column:
    """What decides the split of an instance: instances in which it is equal stay together."""
    keys = {"random": ROW_KEY, "positive": POSITIVE_KEY, "leave_one_out": POSITIVE_KEY, "time": _PLACE}
    return F.col(keys.get(split.by, split.by)).cast("long")


def split_number(split: SplitSettings, seed: int) -> Column:
    """The split: by `_PLACE`, or by a hash of (seed, unit)."""
    place = F.col(_PLACE)
    match split.by:
        case "time":
            in_valid = place < split.test_days + split.valid_days
            return F.when(place < split.test_days, 2).when(in_valid, 1).otherwise(0)
        case "leave_one_out":
            return F.when(place == 0, 2).when(place == 1, 1).otherwise(0)
    uniform = F.shiftrightunsigned(F.xxhash64(F.lit(seed), F.lit("split"), split_unit(split)), 11) / F.lit(
        float(1 << 53)
    )
    return F.when(uniform < split.train, 0).when(uniform < split.train + split.valid, 1).otherwise(2)


def shuffle_key(split: SplitSettings, seed: int) -> Column:
    """A hash of (seed, row_key) whose order is the order of the rows in the files.

    Where a log and its negatives stay together, they also stand together, the log first: of its hash the last bit is
    cleared, of theirs it is set.
    """
    if split.by != "positive":
        return F.xxhash64(F.lit(seed), F.lit("shuffle"), ROW_KEY)
    together = F.xxhash64(F.lit(seed), F.lit("shuffle"), POSITIVE_KEY)
    is_negative = (F.col(ROW_KEY) != F.col(POSITIVE_KEY)).cast("long")
    return together.bitwiseAND(F.lit(-2).cast("long")).bitwiseOR(is_negative)


def units_in_several_splits(rows: DataFrame, split: SplitSettings) -> int:
    """How many units have instances in more than one split: 0, or the splits leak.

    Cost: one shuffle of the distinct units; nothing for `random`, where every instance is a unit of its own.
    """
    if split.by == "random":
        return 0
    by_unit = rows.groupBy(split_unit(split)).agg(F.count_distinct(SPLIT).alias("splits"))
    return by_unit.where("splits > 1").count()
