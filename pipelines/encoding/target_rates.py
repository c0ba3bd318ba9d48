"""Target rate fields: how often the label is positive where a combination of ids occurs in the training split."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap, FieldIds, TargetRate
from afm_core.features.derived_field import COUNT_BUCKETS
from pipelines.contract_checks import check_frame
from pipelines.contracts import LABEL, RATE_TABLE, ROW_KEY
from pipelines.encoding.derived import hash_of, is_known
from pipelines.logs.columns import OURS

FOLDS = 10
"""Parts of the training split; an instance gets the rates of those that it is not in."""
_KEY, _FOLD, _LOG_ODDS, _VALUE = (f"{OURS}{name}" for name in ("key", "fold", "log odds", "value"))
_N, _POSITIVES = f"{OURS}n", f"{OURS}positives"


@dataclass(frozen=True)
class Counts:
    """Instances, and those with a positive label."""

    n: int
    positives: int

    @property
    def rate(self) -> float:
        """Share of positives; above 0 and below 1 also where there is one kind of label alone."""
        return (self.positives + 0.5) / (self.n + 1.0)


@dataclass(frozen=True)
class Outcomes:
    """What the training split says about each combination of ids, and about each fold as a whole."""

    by_key: DataFrame
    """`field`, `key`, `log_odds`, and for each fold the number of instances and of positives; cached."""
    by_fold: tuple[Counts, ...]
    fold: Column

    @property
    def rates(self) -> DataFrame:
        """Contract `RATE_TABLE`."""
        return check_frame(self.by_key.select(*RATE_TABLE.names), RATE_TABLE)


def count_outcomes(train: DataFrame, feature_map: FeatureMap, seed: int) -> Outcomes:
    """Count instances and positives of each combination, for all target rate fields.

    Cost: one shuffle of the combinations, and one pass for the totals; the driver sees two numbers per fold.
    """
    fold = F.pmod(F.xxhash64(F.lit(seed), F.lit("fold"), ROW_KEY), F.lit(FOLDS)).cast("int")
    is_positive = (F.col(LABEL) > 0).cast("long")
    totals = train.groupBy(fold.alias(_FOLD)).agg(F.count(F.lit(1)).alias(_N), F.sum(is_positive).alias(_POSITIVES))
    counted = {row[_FOLD]: Counts(row[_N], row[_POSITIVES]) for row in totals.collect()}
    by_fold = tuple(counted.get(number, Counts(0, 0)) for number in range(FOLDS))
    pairs = [
        F.when(
            is_known(feature_map, declared), F.struct(F.lit(ids.name).alias("field"), hash_of(declared).alias("key"))
        )
        for ids, declared in feature_map.target_rates
    ]
    keys = train.select(fold.alias(_FOLD), is_positive.alias(_POSITIVES), F.inline(F.array_compact(F.array(*pairs))))
    in_fold = [F.when(F.col(_FOLD) == number, 1).otherwise(0) for number in range(FOLDS)]
    by_key = keys.groupBy("field", "key").agg(
        F.array(*[F.sum(each) for each in in_fold]).alias(_N),
        F.array(*[F.sum(each * F.col(_POSITIVES)) for each in in_fold]).alias(_POSITIVES),
    )
    smoothing = reduce(
        lambda rest, field: F.when(F.col("field") == field[0].name, field[1].smoothing).otherwise(rest),
        feature_map.target_rates,
        F.lit(None).cast("double"),
    )
    prior = F.lit(_total(by_fold).rate)
    log_odds = _log_odds(_sum(_N), _sum(_POSITIVES), prior, smoothing)
    return Outcomes(by_key.withColumn("log_odds", log_odds).persist(), by_fold, fold)


def with_rates(rows: DataFrame, rates: DataFrame | None, feature_map: FeatureMap) -> DataFrame:
    """Add ids and x_i of the target rate fields to rows that were not counted.

    Cost: one join per field, a broadcast if the table is small.

    Args:
        rates: contract `RATE_TABLE`; None if the map has no target rate fields.
    """
    return _with_values(rows, rates, feature_map, lambda declared: F.coalesce(_LOG_ODDS, F.lit(0.0)))


def with_cross_fitted_rates(
    rows: DataFrame, outcomes: Outcomes, feature_map: FeatureMap, in_train: Column
) -> DataFrame:
    """As `with_rates`, for the instances of all splits; those of the training split get the rates of other folds."""
    of_others = [_total(outcomes.by_fold[:fold] + outcomes.by_fold[fold + 1 :]).rate for fold in range(FOLDS)]
    prior = F.array(*map(F.lit, of_others))[outcomes.fold]

    def value(declared: TargetRate) -> Column:
        n, positives = (_sum(name) - F.col(name)[outcomes.fold] for name in (_N, _POSITIVES))
        log_odds = _log_odds(n, positives, prior, F.lit(declared.smoothing))
        cross_fitted = F.when(n > 0, log_odds).otherwise(
            0.0
        )  # as what a night has never seen, without a rounding error
        return F.when(in_train, cross_fitted).otherwise(F.coalesce(_LOG_ODDS, F.lit(0.0)))

    return _with_values(rows, outcomes.by_key, feature_map, value)


def _with_values(
    rows: DataFrame, table: DataFrame | None, feature_map: FeatureMap, value: Callable[[TargetRate], Column]
) -> DataFrame:
    for ids, declared in feature_map.target_rates:
        assert table is not None
        of_field = table.where(F.col("field") == ids.name).drop("field")
        of_field = of_field.withColumnsRenamed({"key": _KEY, "log_odds": _LOG_ODDS})
        joined = rows.withColumn(_KEY, hash_of(declared)).join(of_field, _KEY, "left")
        joined = joined.withColumn(_VALUE, value(declared))
        known = is_known(feature_map, declared)
        joined = joined.withColumn(ids.name, _id(ids, declared, known))
        if ids.x_column:
            joined = joined.withColumn(ids.x_column, F.when(known, F.col(_VALUE)).otherwise(1.0).cast("float"))
        rows = joined.drop(*of_field.columns, _VALUE)
    return rows


def _id(ids: FieldIds, declared: TargetRate, known: Column) -> Column:
    id_ = F.lit(ids.ranges[0].first)
    if declared.scale == "buckets":
        half_powers = F.floor(F.col(_VALUE) * (2.0 / math.log(2.0))) + COUNT_BUCKETS // 2
        id_ = id_ + F.greatest(F.lit(0), F.least(half_powers, F.lit(COUNT_BUCKETS - 1)))
    return F.when(known, id_).otherwise(F.lit(ids.unknown_id)).cast("int")


def _log_odds(n: Column, positives: Column, prior: Column, smoothing: Column) -> Column:
    rate = (positives + smoothing * prior) / (n + smoothing)
    return F.log(rate / (1.0 - rate)) - F.log(prior / (1.0 - prior))


def _sum(name: str) -> Column:
    """Sum over the folds."""
    return F.aggregate(name, F.lit(0).cast("long"), lambda total, each: total + each)


def _total(by_fold: tuple[Counts, ...]) -> Counts:
    return Counts(sum(fold.n for fold in by_fold), sum(fold.positives for fold in by_fold))
