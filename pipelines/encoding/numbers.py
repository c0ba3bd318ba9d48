"""Numeric fields: exact statistics, and x_i computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import FieldIds, Numeric, Scaling
from pipelines.encoding.indexing import INDEX, index_within_groups
from pipelines.logs.columns import column as exactly
from pipelines.spark_compat import try_cast

_MANTISSA = 52
_MIN_EXPONENT = -900  # smaller exponents are rounded up to this one, since 2^(52 + 900) is still a double


@dataclass(frozen=True)
class NumberFacts:
    """Statistics of a numeric field over the accepted events."""

    present: int
    least: float
    greatest: float
    mean: float
    deviation: float
    """Root of the mean squared distance from the mean."""


def number(field: Numeric) -> Column:
    """The number of a row as a double, null where it is missing."""
    return try_cast(exactly(field.source), "double")


def number_facts(logs: DataFrame, fields: Sequence[Numeric]) -> dict[str, NumberFacts]:
    """Statistics of each field, independent of the order of the rows. Cost: two passes, no shuffle that grows."""
    if not fields:
        return {}
    sums = exact_sums(logs, [number(field) for field in fields])
    ends = logs.agg(*[fold(number(field)) for field in fields for fold in (F.count, F.min, F.max)]).first()
    assert ends is not None
    counts = [int(ends[3 * index]) for index in range(len(fields))]
    means = [float(total / max(1, count)) for total, count in zip(sums, counts, strict=True)]
    squares = exact_sums(
        logs, [F.pow(number(field) - mean, F.lit(2.0)) for field, mean in zip(fields, means, strict=True)]
    )
    return {
        field.name: NumberFacts(
            counts[index],
            float(ends[3 * index + 1] or 0.0),
            float(ends[3 * index + 2] or 0.0),
            means[index],
            _root(squares[index] / max(1, counts[index])),
        )
        for index, field in enumerate(fields)
    }


def exact_sums(frame: DataFrame, columns: Sequence[Column]) -> list[Fraction]:
    """Sums of columns of doubles without rounding, so that they do not depend on the order of the rows.

    A double is an integer times a power of two. The integers of each power are summed exactly; at most 2,000 powers per
    column reach the driver.
    """
    pieces = []
    for index, column in enumerate(columns):
        power = F.greatest(F.coalesce(F.floor(F.log2(F.abs(column))), F.lit(0)), F.lit(_MIN_EXPONENT)).cast("int")
        units = (column * F.pow(F.lit(2.0), (F.lit(_MANTISSA) - power).cast("double"))).cast("decimal(38,0)")
        pieces.append(F.struct(F.lit(index).alias("index"), power.alias("power"), units.alias("units")))
    totals = frame.select(F.inline(F.array(*pieces))).where("units IS NOT NULL").groupBy("index", "power")
    sums = [Fraction(0)] * len(columns)
    for row in totals.agg(F.sum("units").alias("units")).collect():
        sums[row["index"]] += Fraction(int(row["units"])) * Fraction(2) ** (row["power"] - _MANTISSA)
    return sums


def fit_scaling(logs: DataFrame, field: Numeric, facts: NumberFacts) -> Scaling:
    """The scaling of a numeric field. Cost: for quantiles one sort of the column, else none."""
    edges = _quantile_edges(logs, field, facts.present) if field.scale == "quantiles" else ()
    return Scaling(facts.mean, facts.deviation or 1.0, edges)


def _quantile_edges(logs: DataFrame, field: Numeric, present: int) -> tuple[float, ...]:
    """The distinct numbers at ranks i/buckets x rows of the sorted column, without the least number."""
    ranks = sorted({present * i // field.buckets for i in range(1, field.buckets)})
    values = logs.select(F.lit(0).alias("all"), number(field).alias("number")).where("number IS NOT NULL")
    indexed = index_within_groups(values, "all", [F.asc("number")])
    at_ranks = indexed.frame.where(F.col(INDEX).isin([0, *ranks])).select(INDEX, "number").collect()
    least = next(row["number"] for row in at_ranks if row[INDEX] == 0)
    return tuple(sorted({float(row["number"]) for row in at_ranks} - {float(least)}))


def scaled(field: FieldIds) -> Column:
    """x_i of a numeric field, float32: 1 if the number is missing and has the unknown id."""
    declared, scaling, value = _filled(field)
    if declared.scale == "log1p":
        x = F.signum(value) * F.log1p(F.abs(value))
    else:
        x = (value - F.lit(scaling.mean)) / F.lit(scaling.deviation)
    return F.coalesce(x, F.lit(1.0)).cast("float")


def number_id(field: FieldIds) -> Column:
    """The id of a numeric field: of its one feature or of its bucket; the unknown id if the number is missing."""
    declared, scaling, value = _filled(field)
    known = F.lit(field.ranges[0].first)
    if declared.scale == "quantiles" and scaling.edges:
        known = known + F.size(F.filter(F.array(*map(F.lit, scaling.edges)), lambda edge: edge <= value))
    return F.when(value.isNull(), F.lit(field.unknown_id)).otherwise(known).cast("int")


def _filled(field: FieldIds) -> tuple[Numeric, Scaling, Column]:
    declared, scaling = field.declared, field.scaling
    assert isinstance(declared, Numeric)
    assert scaling is not None
    value = number(declared)
    return declared, scaling, F.coalesce(value, F.lit(scaling.mean)) if declared.missing == "mean" else value


def _root(square: Fraction) -> float:
    """The square root, correctly rounded to a double."""
    scale = 1 << 200
    return isqrt(int(square * scale * scale)) / scale
