"""Fitting a feature map: which values get an id of their own, and which."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap, Field
from afm_core.features.feature_map import PADDING_ID
from pipelines.contracts import FEATURES, conform
from pipelines.encoding.digest import digest
from pipelines.encoding.indexing import index_within_groups
from pipelines.encoding.values import field_value


@dataclass(frozen=True)
class FittedMap:
    """A feature map, as its layout and as its table."""

    feature_map: FeatureMap
    table: DataFrame
    """Contract `FEATURES`."""


def fit_feature_map(logs: DataFrame, fields: tuple[Field, ...], rows: int) -> FittedMap:
    """Count the values of every field, and give ids by field, falling count, then value.

    Cost: one shuffle of the distinct (field, value) pairs, at most N x m after partial aggregation, and one sort of the
    kept ones. Counting, ordering and numbering happen on executors; the driver sees totals a field.

    Args:
        logs: contract `log_columns`.
        rows: number of rows of `logs`.
    """
    counted = _count_values(logs, fields)
    indexed = index_within_groups(counted, "position", [F.desc("count"), F.asc("value")])
    layout = FeatureMap.lay_out(fields, [indexed.rows.get(position, 0) for position in range(len(fields))])
    first_ids = F.array(*[F.lit(field.first_id) for field in layout.fields])
    names = F.array(*[F.lit(field.name) for field in layout.fields])
    vocabulary = indexed.frame.select(
        (F.get(first_ids, F.col("position")) + F.col("index")).cast("int").alias("id"),
        F.get(names, F.col("position")).alias("field"),
        "value",
        "count",
    )
    table = conform(_special_rows(vocabulary, layout, rows).unionByName(vocabulary), FEATURES)
    return FittedMap(FeatureMap(layout.fields, digest(table.select("id", "field", "value"))), table)


def _count_values(logs: DataFrame, fields: tuple[Field, ...]) -> DataFrame:
    """(position, value, count) of every value that occurs often enough; position is that of its field."""
    pairs = F.array(
        *[F.struct(F.lit(at).alias("position"), field_value(field).alias("value")) for at, field in enumerate(fields)]
    )
    minimum = F.array(*[F.lit(field.min_count) for field in fields])
    return (
        logs.select(F.inline(pairs))
        .where("value IS NOT NULL")
        .groupBy("position", "value")
        .agg(F.count(F.lit(1)).alias("count"))
        .where(F.col("count") >= F.get(minimum, F.col("position")))
    )


def _special_rows(vocabulary: DataFrame, layout: FeatureMap, rows: int) -> DataFrame:
    """The rows of padding and of each field's unknown id, counted as the rows that no vocabulary id covers."""
    totals = vocabulary.groupBy("field").agg(F.sum("count").alias("covered")).collect()  # a row a field
    covered = {row["field"]: row["covered"] for row in totals}
    special: list[tuple[int, str | None, str | None, int]] = [(PADDING_ID, None, None, 0)]
    special += [(field.unknown_id, field.name, None, rows - covered.get(field.name, 0)) for field in layout.fields]
    return vocabulary.sparkSession.createDataFrame(special, FEATURES)
