"""Fitting a feature map: which values get an id of their own, and which id."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.features import (
    CoOccurrence,
    Crossed,
    FeatureMap,
    Field,
    Frequency,
    Hashed,
    Numeric,
    Scaling,
    TargetRate,
    has_vocabulary,
)
from afm_core.features.derived_field import COUNT_BUCKETS
from afm_core.features.field import SINGLE_ID
from afm_core.storage.provenance import text_digest
from pipelines.contract_checks import check_frame
from pipelines.contracts import FEATURE_TABLE
from pipelines.encoding.digest import digest
from pipelines.encoding.feature_rows import enumerated, known_values, new_values, old_features, special_rows
from pipelines.encoding.numbers import NumberFacts, fit_scaling, number_facts
from pipelines.encoding.value_counts import FieldValues, count_values


@dataclass(frozen=True)
class MapToExtend:
    """An existing feature map whose ids stay."""

    feature_map: FeatureMap
    table: DataFrame
    """Contract `FEATURE_TABLE`."""


@dataclass(frozen=True)
class FieldFacts:
    """Statistics of a field from fitting, besides its ids."""

    values: FieldValues
    added: int
    """Number of features that are not in the map that was extended."""
    unknown: int | None
    """Number of events that get the unknown id, missing values included; None if that is not known before encoding."""
    numbers: NumberFacts | None = None


@dataclass(frozen=True)
class FittedFeatureMap:
    """A feature map, as its layout and as its table."""

    feature_map: FeatureMap
    table: DataFrame
    """Contract `FEATURE_TABLE`."""
    facts: dict[str, FieldFacts] = field(default_factory=dict)


def fit_feature_map(
    logs: DataFrame, fields: Sequence[Field], rows: int, extends: MapToExtend | None = None
) -> FittedFeatureMap:
    """Count the values of every field, and assign ids by field, descending count, then value.

    Cost: one shuffle of the distinct (field, value) pairs, at most N x m after partial aggregation, and one sort of
    them. Counting, ordering and numbering happen on executors; the driver sees totals per field.

    Args:
        logs: contract `events`.
        rows: number of rows of `logs`.
        extends: a map of the same fields, whose ids and scalings stay.
    """
    spark, old = logs.sparkSession, extends.feature_map if extends else None
    counted = count_values(logs, fields, known_values(extends.table, fields) if extends else None)
    numbers = number_facts(logs, [declared for declared in fields if isinstance(declared, Numeric)])
    scalings = [_scaling(logs, declared, numbers, old) for declared in fields]
    sizes = [
        _new_size(declared, scalings[index], counted.fields[index], old.fields[index].size if old else None)
        for index, declared in enumerate(fields)
    ]
    layout = FeatureMap.lay_out(fields, sizes, scalings, old)
    parts = [new_values(counted, layout, sizes), enumerated(spark, layout, sizes, counted)]
    if extends:
        parts.append(old_features(extends.table, counted))
    features = reduce(DataFrame.unionByName, parts)
    unknown = _unknown_events(features, layout, rows, numbers)
    table = check_frame(special_rows(spark, layout, unknown).unionByName(features), FEATURE_TABLE)
    fingerprint = text_digest(digest(table.select("id", "field", "value")), repr(layout.fields))
    facts = {
        name: FieldFacts(counted.fields[index], sizes[index], unknown[index], numbers.get(name))
        for index, name in enumerate(layout.names)
    }
    return FittedFeatureMap(FeatureMap(layout.fields, fingerprint), table, facts)


def _scaling(
    logs: DataFrame, declared: Field, numbers: dict[str, NumberFacts], old: FeatureMap | None
) -> Scaling | None:
    if not isinstance(declared, Numeric):
        return None
    return old[declared.name].scaling if old else fit_scaling(logs, declared, numbers[declared.name])


def _new_size(declared: Field, scaling: Scaling | None, values: FieldValues, old_size: int | None) -> int:
    if has_vocabulary(declared):
        limit = getattr(declared, "max_size", None)
        return values.kept if limit is None else max(0, min(values.kept, limit - (old_size or 0)))
    if old_size is not None:
        return 0
    match declared:
        case Hashed() | Crossed():
            return declared.buckets
        case Numeric(scale="quantiles"):
            return 1 + len((scaling or Scaling()).edges)
        case Frequency(scale="buckets") | CoOccurrence(scale="buckets") | TargetRate(scale="buckets"):
            return COUNT_BUCKETS
    return 1


def _unknown_events(
    features: DataFrame, layout: FeatureMap, rows: int, numbers: dict[str, NumberFacts]
) -> list[int | None]:
    """By field, the number of events that none of its features accounts for."""
    totals = features.where("count IS NOT NULL").groupBy("field").agg(F.sum("count").alias("covered")).collect()
    covered = {row["field"]: int(row["covered"]) for row in totals}  # one row per field
    unknown: list[int | None] = []
    for ids in layout.fields:
        if isinstance(ids.declared, SINGLE_ID):
            unknown.append(rows - covered.get(ids.name, 0))
        elif isinstance(ids.declared, Numeric):
            unknown.append(0 if ids.declared.missing == "mean" else rows - numbers[ids.name].present)
        else:
            unknown.append(None)
    return unknown
