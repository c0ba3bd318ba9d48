"""Which split an instance belongs to, and its position in it."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField

from afm_core.settings.data import SplitSettings
from pipelines.contracts import LABEL, ROW_KEY
from pipelines.logs.columns import OURS, column
from pipelines.logs.values import given_split, timestamp
from pipelines.preparation.negatives.expansion import POSITIVE_KEY

SPLIT, ORDER, UNIT = (f"{OURS}{name}" for name in ("split", "order", "unit"))
SPLIT_COLUMNS = (
    StructField(SPLIT, IntegerType(), nullable=False),  # 0 train, 1 valid, 2 test
    StructField(ORDER, LongType(), nullable=False),  # hash whose order is the order of the rows in the files
    StructField(UNIT, LongType()),  # instances with the same unit must be in the same split
)
_MICROSECONDS, _GIVEN = (f"{OURS}{name}" for name in ("microseconds", "given split"))
_RANK, _NUMBER = (f"{OURS}{name}" for name in ("rank from the end", "number"))
_DAY = 86_400_000_000


def with_basis(events: DataFrame, split: SplitSettings) -> DataFrame:
    """Add what the columns of the logs say about the split: microseconds since 1970, or the split itself."""
    basis = {}
    if split.time_source:
        basis[_MICROSECONDS] = F.unix_micros(timestamp(column(split.time_source), split.time_format))
    if split.column:
        basis[_GIVEN] = given_split(split.column)
    return events.withColumns(basis) if basis else events


def with_split(rows: DataFrame, split: SplitSettings, seed: int) -> DataFrame:
    """Add `SPLIT_COLUMNS`. Cost: one pass by time, two shuffles of the instances for leave-one-out, else none."""
    if split.by in ("time", "leave_one_out"):
        rows = _with_ranks(rows.persist(), split, seed)
    unit = _unit(split)
    return rows.withColumns({SPLIT: _split_number(split, seed, unit), ORDER: _shuffle_key(split, seed), UNIT: unit})


def units_in_several_splits(rows: DataFrame, split: SplitSettings) -> int:
    """Number of units with instances in more than one split. Anything but 0 is a leak between the splits.

    Cost: one shuffle of the distinct units; nothing for `random`, where every instance is a unit of its own.
    """
    if split.by == "random":
        return 0
    by_unit = rows.groupBy(UNIT).agg(F.count_distinct(SPLIT).alias("splits"))
    return by_unit.where("splits > 1").count()


def _with_ranks(rows: DataFrame, split: SplitSettings, seed: int) -> DataFrame:
    """Add the rank of an instance's positive counted from the end, 0 for the last.

    By time these are days. Leaving one out, they are positives with the same value of `split.of`, of which only the
    last two have a rank; their negatives share it.
    """
    if split.by == "time":
        day = F.floor(F.col(_MICROSECONDS) / _DAY)
        last = rows.agg(F.max(day)).collect()[0][0]
        return rows.withColumn(_RANK, F.lit(last) - day)
    assert split.of is not None
    latest_first = [F.desc_nulls_last(_MICROSECONDS)] if split.time_source else []
    by_hash = F.xxhash64(F.lit(seed), F.lit("last"), ROW_KEY)
    number = F.row_number().over(Window.partitionBy(split.of).orderBy(*latest_first, by_hash))
    last_two = rows.where(F.col(LABEL) > 0).withColumn(_NUMBER, number).where(F.col(_NUMBER) <= 2)
    ranks = last_two.select(POSITIVE_KEY, (F.col(_NUMBER) - 1).cast("long").alias(_RANK))
    return rows.join(ranks, POSITIVE_KEY, "left")


def _unit(split: SplitSettings) -> Column:
    """What decides the split of an instance."""
    keys = {"random": ROW_KEY, "time": _RANK, **dict.fromkeys(("positive", "leave_one_out", "column"), POSITIVE_KEY)}
    return F.col(keys.get(split.by, split.by)).cast("long")


def _split_number(split: SplitSettings, seed: int, unit: Column) -> Column:
    """The split: as given, by the rank from the end, or by a hash of (seed, unit)."""
    rank = F.col(_RANK)
    match split.by:
        case "time":
            in_valid = rank < split.test_days + split.valid_days
            return F.when(rank < split.test_days, 2).when(in_valid, 1).otherwise(0)
        case "leave_one_out":
            return F.when(rank == 0, 2).when(rank == 1, 1).otherwise(0)
        case "column":
            return F.coalesce(F.col(_GIVEN), F.lit(0))
    hashed = F.xxhash64(F.lit(seed), F.lit("split"), unit)
    uniform = F.shiftrightunsigned(hashed, 11) / F.lit(float(1 << 53))
    last = 2 if split.test else 1  # the shares may add up to a little less than 1
    return F.when(uniform < split.train, 0).when(uniform < split.train + split.valid, 1).otherwise(last)


def _shuffle_key(split: SplitSettings, seed: int) -> Column:
    """A hash of (seed, row_key).

    Where an event and its negatives stay together they are also neighbours, the event first: the last bit of its hash
    is cleared, that of the negatives is set.
    """
    if split.by != "positive":
        return F.xxhash64(F.lit(seed), F.lit("shuffle"), ROW_KEY)
    together = F.xxhash64(F.lit(seed), F.lit("shuffle"), POSITIVE_KEY)
    is_negative = (F.col(ROW_KEY) != F.col(POSITIVE_KEY)).cast("long")
    return together.bitwiseAND(F.lit(-2).cast("long")).bitwiseOR(is_negative)
