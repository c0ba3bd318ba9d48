"""Every table that passes between stages: its columns, and what is unique in it."""

from collections.abc import Iterable

from pyspark.sql import DataFrame
from pyspark.sql.types import (
    ArrayType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from afm_core.features import FeatureMap

ROW_KEY, LABEL, WEIGHT, SCORE, MODEL = "row_key", "label", "weight", "score", "model"
FIRST_ORDER, INTERACTIONS = "first_order", "interactions"

REJECT_TABLE = StructType(
    [
        StructField("rule", StringType(), nullable=False),  # malformed, missing, not_utf8, too_long, not_a_number, ...
        StructField("column", StringType()),  # null where the whole line is at fault
        StructField("raw", StringType()),  # the line, or the row as JSON
        StructField("file", StringType()),
    ]
)
"""Rows that could not be used, one row each. Nothing is unique."""

FEATURE_TABLE = StructType(
    [
        StructField("id", IntegerType(), nullable=False),
        StructField("field", StringType()),  # null for padding
        StructField("value", StringType()),  # null for padding and unknown ids
        StructField("count", LongType()),  # logs that map to this id; null where that is not known when it is fitted
    ]
)
"""The feature map. `id` is unique and consecutive from 0; so is (field, value)."""

COUNT_TABLE = StructType(
    [
        StructField("field", StringType(), nullable=False),
        StructField("key", LongType(), nullable=False),  # hash of the ids that were counted together
        StructField("count", LongType(), nullable=False),
    ]
)
"""What count fields know: positives of the training split by combination of ids. (field, key) is unique."""

PAIR_TABLE = StructType(
    [
        StructField("of", StringType(), nullable=False),  # the two fields, user and item
        StructField("relation", StringType(), nullable=False),  # has, together
        StructField("left", IntegerType(), nullable=False),
        StructField("right", IntegerType(), nullable=False),
        StructField("count", LongType(), nullable=False),
    ]
)
"""What affinity fields know of the positives of the training split. (of, relation, left, right) is unique.

`has`: user, item, and how often. `together`: item, item, and how many users have both; an item beside itself, how many
have it.
"""


def log_columns(columns: Iterable[str]) -> StructType:
    """Accepted logs: every column a string, missing values null. Nothing is unique."""
    return StructType([StructField(name, StringType()) for name in columns])


def instances(feature_map: FeatureMap, weighted: bool) -> StructType:
    """Labelled, encoded rows. `row_key` is unique over all splits."""
    columns = [StructField(ROW_KEY, LongType(), False), *encoded(feature_map), StructField(LABEL, FloatType(), False)]
    return StructType([*columns, StructField(WEIGHT, FloatType(), False)] if weighted else columns)


def encoded(feature_map: FeatureMap) -> StructType:
    """Ids and x_i of the fields. Nothing is unique."""
    ids = [StructField(name, IntegerType(), nullable=False) for name in feature_map.id_columns]
    return StructType([*ids, *[StructField(name, FloatType(), nullable=False) for name in feature_map.x_columns]])


INTERACTION = StructType(
    [
        StructField("left_field", StringType(), nullable=False),
        StructField("left_value", StringType()),  # null for a missing or unseen value, and for a number
        StructField("right_field", StringType(), nullable=False),
        StructField("right_value", StringType()),
        StructField("weight", FloatType(), nullable=False),  # a_ij
        StructField("contribution", FloatType(), nullable=False),  # a_ij p^T (v_i * v_j) x_i x_j
    ]
)


def scores(keys: Iterable[str], explained: bool = False) -> StructType:
    """One row for each accepted log of a night. The keys are as unique as they are in the logs."""
    why = [
        StructField(FIRST_ORDER, FloatType(), nullable=False),  # w_0 + sum w_i x_i
        StructField(INTERACTIONS, ArrayType(INTERACTION, containsNull=False), nullable=False),  # most weighted first
    ]
    return StructType(
        [
            *[StructField(name, StringType()) for name in keys],
            StructField(SCORE, FloatType(), nullable=False),
            StructField(MODEL, StringType(), nullable=False),  # the bundle's fingerprint
            *(why if explained else []),
        ]
    )


def best_items(user: str, item: str) -> StructType:
    """The best items of each user of a night. (user, rank) and (user, item) are unique."""
    return StructType(
        [
            StructField(user, StringType()),
            StructField("rank", IntegerType(), nullable=False),  # from 1
            StructField(item, StringType()),
            StructField(SCORE, FloatType(), nullable=False),
            StructField(MODEL, StringType(), nullable=False),
        ]
    )


def conform(frame: DataFrame, contract: StructType) -> DataFrame:
    """Select exactly the columns of `contract`, in its order.

    Raises:
        AssertionError: a column is absent or of another type. That is a defect of the stage, not of the input.
    """
    found = {field.name: field.dataType for field in frame.schema}
    wrong = [
        f"{field.name}: {field.dataType.simpleString()} declared, {found[field.name].simpleString()} found"
        if field.name in found
        else f"{field.name}: absent"
        for field in contract
        if found.get(field.name) != field.dataType
    ]
    assert not wrong, "; ".join(wrong)
    return frame.select([f"`{name}`" for name in contract.names])
