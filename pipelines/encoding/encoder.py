"""Applying a feature map to logs."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap, FieldIds
from pipelines.encoding.values import field_value

_BROADCAST_VALUES = 500_000
"""Vocabularies up to this size are sent to every executor; a larger one is joined as Spark sees fit."""


def encode(logs: DataFrame, features: DataFrame, feature_map: FeatureMap) -> DataFrame:
    """Replace the text of every field by its id (int32, never null); other columns stay.

    A missing or unseen value becomes the field's unknown id, in Spark, so that no later stage meets a null.
    Cost: a hash look-up a row and field for small vocabularies, a shuffle of the rows for each large one.

    Args:
        logs: has a text column for each field of the map.
        features: contract `FEATURES`, the table of `feature_map`.
    """
    for field in feature_map.fields:
        vocabulary = features.where((F.col("field") == field.name) & F.col("value").isNotNull()).select(
            F.col("value").alias(field.name), F.col("id").alias("_id")
        )
        if field.size <= _BROADCAST_VALUES:
            vocabulary = F.broadcast(vocabulary)
        logs = logs.withColumn(field.name, field_value(field))
        logs = logs.join(vocabulary, field.name, "left").withColumn(field.name, _known_or_unknown(field)).drop("_id")
    return logs


def _known_or_unknown(field: FieldIds) -> Column:
    return F.coalesce(F.col("_id"), F.lit(field.unknown_id))
