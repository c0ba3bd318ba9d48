"""Numbering the rows of a distributed table consecutively."""

from dataclasses import dataclass
from itertools import accumulate

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.logs.columns import OURS, quoted

INDEX = f"{OURS}index"
"""Column with the number of a row in its group."""
_ROW, _PART, _POSITION, _SHIFT = (f"{OURS}{name}" for name in ("row", "part", "position", "shift"))
_POSITION_BITS = 33  # of monotonically_increasing_id; the number of the partition is in the bits above


@dataclass(frozen=True)
class Indexed:
    """A table with a column `INDEX`, and the number of rows of each group."""

    frame: DataFrame
    rows: dict[int, int]


def index_within_groups(frame: DataFrame, group: str, order: list[Column]) -> Indexed:
    """Number the rows of each group from 0, in `order`, without collecting a group in one task.

    `group` must be an integer column, and (group, order) a total order: then the numbers do not depend on the
    partitioning. Cost: one range shuffle and one sort of N rows, cached; the driver sees counts, partitions x groups.

    monotonically_increasing_id is neither stable nor consecutive in general. Here it is read from the cached, sorted
    rows, so its low bits are the position in the partition; the counts turn that into a position in the group.
    """
    ordered = frame.repartitionByRange(F.col(group), *order).sortWithinPartitions(F.col(group), *order)
    ordered = ordered.withColumn(_ROW, F.monotonically_increasing_id()).persist()
    partition = F.shiftright(_ROW, _POSITION_BITS).cast("int")
    position = F.col(_ROW).bitwiseAND(F.lit((1 << _POSITION_BITS) - 1))
    counts = ordered.groupBy(partition.alias(_PART), group).count().collect()

    rows: dict[int, int] = {}
    for count in counts:
        rows[count[group]] = rows.get(count[group], 0) + count["count"]
    in_partition: dict[int, int] = {}
    for count in counts:
        in_partition[count[_PART]] = in_partition.get(count[_PART], 0) + count["count"]
    group_start = _starts(rows)
    partition_start = _starts(in_partition)

    shifts = [(row[_PART], row[group], partition_start[row[_PART]] - group_start[row[group]]) for row in counts]
    shift = frame.sparkSession.createDataFrame(
        shifts, f"{quoted(_PART)} int, {quoted(group)} int, {quoted(_SHIFT)} long"
    )
    indexed = (
        ordered.withColumn(_PART, partition)
        .withColumn(_POSITION, position)
        .join(F.broadcast(shift), [_PART, group])
        .withColumn(INDEX, F.col(_POSITION) + F.col(_SHIFT))
        .drop(_ROW, _PART, _POSITION, _SHIFT)
    )
    return Indexed(indexed, rows)


def _starts(sizes: dict[int, int]) -> dict[int, int]:
    """The offset of each key when the keys are in ascending order."""
    keys = sorted(sizes)
    starts = accumulate((sizes[key] for key in keys), initial=0)
    return dict(zip(keys, starts, strict=False))  # the end of the last one is no start
