"""Every table that passes between stages: its columns, and what is unique in it."""

from collections.abc import Iterable

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from afm_core.features import FeatureMap
from afm_core.prediction.row_explainer import FIRST_ORDER, INTERACTIONS
from pipelines.contract_checks import Contract

ROW_KEY, LABEL, WEIGHT, SCORE, MODEL = "row_key", "label", "weight", "score", "model"


def _required(name: str, data_type: DataType) -> StructField:
    return StructField(name, data_type, nullable=False)


REJECT_TABLE = Contract(
    "rejects",
    StructType(
        [
            _required("rule", StringType()),  # malformed, missing, not_utf8, too_long, not_a_number, ...
            StructField("column", StringType()),  # null where the whole line is at fault
            StructField("raw", StringType()),  # the line, or the row as JSON
            StructField("file", StringType()),
        ]
    ),
)
"""Rows that could not be used, one row each."""

REJECT_STRUCT = StructType([StructField(field.name, field.dataType) for field in REJECT_TABLE.schema])
"""Type of a column that holds such a row, and null for a row that can be used."""

FEATURE_TABLE = Contract(
    "feature table",
    StructType(
        [
            _required("id", IntegerType()),  # consecutive from 0
            StructField("field", StringType()),  # null for padding
            StructField("value", StringType()),  # null for padding and unknown ids
            StructField("count", LongType()),  # events with this id; null where that is not known when it is fitted
        ]
    ),
    unique=("id",),
)
"""The feature map: which id stands for which value of which field. (field, value) is unique, too."""

COUNT_TABLE = Contract(
    "count table",
    StructType(
        [
            _required("field", StringType()),
            _required("key", LongType()),  # hash of the ids that were counted together
            _required("count", LongType()),
        ]
    ),
    unique=("field", "key"),
)
"""What frequency fields look up: positives of the training split by combination of ids."""

RATE_TABLE = Contract(
    "rate table",
    StructType(
        [
            _required("field", StringType()),
            _required("key", LongType()),  # hash of the ids that were counted together
            _required("log_odds", DoubleType()),  # of a positive label, less those of all instances
        ]
    ),
    unique=("field", "key"),
)
"""What target rate fields look up: the rate of positives in the training split by combination of ids."""

PAIR_TABLE = Contract(
    "pair table",
    StructType(
        [
            _required("of", StringType()),  # the two fields, user and item
            _required("relation", StringType()),  # has, together
            _required("left", IntegerType()),
            _required("right", IntegerType()),
            _required("count", LongType()),
        ]
    ),
    unique=("of", "relation", "left", "right"),
)
"""What co-occurrence fields look up, counted over the positives of the training split.

`has`: user, item, and the number of events. `together`: item, item, and the number of users who have both; an item
paired with itself gives the number of users who have it.
"""

_INTERACTION = StructType(
    [
        _required("left_field", StringType()),
        StructField("left_value", StringType()),  # null for a missing or unseen value, and for a number
        _required("right_field", StringType()),
        StructField("right_value", StringType()),
        _required("weight", FloatType()),  # a_ij
        _required("contribution", FloatType()),  # a_ij p^T (v_i * v_j) x_i x_j
    ]
)
INTERACTION_LIST = ArrayType(_INTERACTION, containsNull=False)
"""Type of the column `interactions` of explained scores, the most weighted interaction first."""


def events(columns: Iterable[str]) -> Contract:
    """Accepted events: every column a string, missing values null. Nothing is unique."""
    return Contract("accepted events", StructType([StructField(name, StringType()) for name in columns]))


def encoded(feature_map: FeatureMap) -> Contract:
    """Ids and x_i of the fields, never null. Nothing is unique."""
    ids = [_required(name, IntegerType()) for name in feature_map.id_columns]
    return Contract(
        "encoded rows", StructType([*ids, *[_required(name, FloatType()) for name in feature_map.x_columns]])
    )


def instances(feature_map: FeatureMap, weighted: bool) -> Contract:
    """Labelled, encoded rows. `row_key` is unique over all splits."""
    fields = [_required(ROW_KEY, LongType()), *encoded(feature_map).schema, _required(LABEL, FloatType())]
    weight = [_required(WEIGHT, FloatType())] if weighted else []
    return Contract("instances", StructType([*fields, *weight]), unique=(ROW_KEY,))


def rows_to_score(
    feature_map: FeatureMap, reject: str, texts: Iterable[str], strings: Iterable[str], flags: Iterable[str]
) -> Contract:
    """What the workers that score a night receive. Nothing is unique.

    Args:
        reject: the column with the row of `REJECT_TABLE` for a rejected row, null for the others.
        texts: fields whose column holds the text of their value, for the worker to look up, instead of an id.
        strings: further text columns, such as keys.
        flags: boolean columns.
    """
    as_text = set(texts)
    ids = [
        StructField(name, StringType()) if name in as_text else _required(name, IntegerType())
        for name in feature_map.id_columns
    ]
    return Contract(
        "rows to score",
        StructType(
            [
                StructField(reject, REJECT_STRUCT),
                *[StructField(name, StringType()) for name in strings],
                *[_required(name, BooleanType()) for name in flags],
                *ids,
                *[_required(name, FloatType()) for name in feature_map.x_columns],
            ]
        ),
    )


def scores(keys: Iterable[str], explained: bool = False) -> Contract:
    """One row for each accepted event of a night. The keys are as unique as they are in the logs."""
    explanation = [_required(FIRST_ORDER, FloatType()), _required(INTERACTIONS, INTERACTION_LIST)]
    return Contract(
        "scores",
        StructType(
            [
                *[StructField(name, StringType()) for name in keys],
                _required(SCORE, FloatType()),
                _required(MODEL, StringType()),  # the bundle's fingerprint
                *(explanation if explained else []),
            ]
        ),
    )


def best_items(user: str, item: str) -> Contract:
    """The best items of each user of a night. (user, rank) and (user, item) are unique."""
    return Contract(
        "best items",
        StructType(
            [
                StructField(user, StringType()),
                _required("rank", IntegerType()),  # from 1
                StructField(item, StringType()),
                _required(SCORE, FloatType()),
                _required(MODEL, StringType()),
            ]
        ),
        unique=(user, "rank"),
    )
