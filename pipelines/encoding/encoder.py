"""Applying a feature map to logs."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap, FieldIds, Hashed, Numeric
from afm_core.features.feature_map import COUNTS_FILE, FEATURES_FILE, PAIRS_FILE
from pipelines.contract_checks import check_frame
from pipelines.contracts import COUNT_TABLE
from pipelines.encoding.co_occurrence import with_co_occurrences
from pipelines.encoding.derived import with_counts, with_crossed
from pipelines.encoding.feature_table import scan_feature_table
from pipelines.encoding.numbers import number_id, scaled
from pipelines.encoding.tags import with_tags
from pipelines.encoding.values import has_vocabulary, text_value
from pipelines.spark import literal

BROADCAST_VALUES = 500_000
"""Vocabularies up to this size are sent to every executor. Of a larger one, the most frequent values are."""
_SALTS, _SALTED_BY = 4096, 8


@dataclass(frozen=True)
class Encoding:
    """A feature map with its tables, as found in a dataset or a bundle."""

    feature_map: FeatureMap
    folder: Path
    """Where its tables are, on a file system that every executor sees."""

    @property
    def features(self) -> Path:
        """The feature table."""
        return self.folder / FEATURES_FILE

    @property
    def counts(self) -> Path:
        """What count fields know."""
        return self.folder / COUNTS_FILE

    @property
    def pairs(self) -> Path:
        """What affinity fields know."""
        return self.folder / PAIRS_FILE


def encode(logs: DataFrame, encoding: Encoding, as_text: Collection[str] = ()) -> DataFrame:
    """All fields of a map: `encode_values`, then those that follow from others, as scoring needs them."""
    encoded = with_crossed(encode_values(logs, encoding, as_text), encoding.feature_map)
    return with_counted_fields(encoded, encoding, F.lit(0))


def with_counted_fields(rows: DataFrame, encoding: Encoding, own: Column) -> DataFrame:
    """Add the fields that know the positives of the training split: count and affinity fields.

    Args:
        own: 1 where a row is one of those positives, and must not count itself, else 0.
    """
    counted = with_counts(rows, read_counts(rows, encoding), encoding.feature_map, own)
    return with_co_occurrences(counted, encoding.pairs, encoding.feature_map, own)


def encode_values(logs: DataFrame, encoding: Encoding, as_text: Collection[str] = ()) -> DataFrame:
    """Give every field that reads the logs its ids (int32, never null) and x_i; columns of other names stay.

    A missing or unseen value becomes the field's unknown id, in Spark, so that no later stage meets a null.
    Cost: a hash look-up a row and field for small vocabularies, a shuffle of the rows for each large one.

    Args:
        logs: has a text column for each source of the map's fields.
        as_text: fields of `looked_up_in_workers` that get the text of their value instead, for others to look up.
    """
    features = scan_feature_table(logs.sparkSession, encoding.features)
    rows = with_tags(logs, encoding.feature_map, encoding.features)
    single = [ids for ids in encoding.feature_map.fields if ids.declared.sources and ids.declared.kind != "tags"]
    # Values before ids: a field's id takes the place of the column that another field may read too.
    rows = rows.withColumns({name: column for ids in single for name, column in _computed(ids).items()})
    for ids in single:
        if has_vocabulary(ids.declared) and ids.name not in as_text:
            rows = _look_up(rows, features, ids)
    # One projection for all fields: the optimiser's work would grow with the square of their number.
    made = {
        ids.name: F.col(_value(ids)) if ids.name in as_text else F.coalesce(_id(ids), F.lit(ids.unknown_id)).cast("int")
        for ids in single
    }
    made |= {ids.x_column: F.col(_x(ids)) for ids in single if ids.x_column}
    temporary = {name for ids in single for name in (_value(ids), _id(ids), _x(ids))}
    kept = [F.col(f"`{name}`") for name in rows.columns if name not in temporary and name not in made]
    return rows.select(*kept, *[column.alias(name) for name, column in made.items()])


def read_counts(rows: DataFrame, encoding: Encoding) -> DataFrame | None:
    """Contract `COUNT_TABLE`, None for a map without count fields."""
    if not encoding.feature_map.frequencies:
        return None
    return check_frame(rows.sparkSession.read.parquet(literal(encoding.counts)), COUNT_TABLE)


def how_encoded(ids: FieldIds) -> tuple[str, str]:
    """What is done to encode a field, and why."""
    kind = ids.declared.kind
    if kind == "tags":
        return "look-up in Python workers", "several values a row"
    if not has_vocabulary(ids.declared):
        return "expression", f"{kind}: ids follow from the declaration"
    if ids.size <= BROADCAST_VALUES:
        return "broadcast join", f"{ids.size:,} values, at most {BROADCAST_VALUES:,}"
    rest = ids.size - BROADCAST_VALUES
    return "broadcast of the head, join of the rest", f"{ids.size:,} values: the {rest:,} rarest cannot be skewed"


def _value(ids: FieldIds) -> str:
    return f"_value_{ids.name}"


def _id(ids: FieldIds) -> str:
    return f"_id_{ids.name}"


def _x(ids: FieldIds) -> str:
    return f"_x_{ids.name}"


def _computed(ids: FieldIds) -> dict[str, Column]:
    match ids.declared:
        case Numeric():
            x = {_x(ids): scaled(ids)} if ids.x_column else {}
            return {_id(ids): number_id(ids), **x}
        case Hashed():
            bucket = text_value(ids.declared).cast("int")
            return {_id(ids): F.lit(ids.ranges[0].first) + bucket}
    return {_value(ids): text_value(ids.declared)}


def _look_up(rows: DataFrame, features: DataFrame, ids: FieldIds) -> DataFrame:
    """Add the id of a value, null where the vocabulary has none.

    The ids of a large vocabulary fall by count, so its head holds every value that could make one task slow. Rows that
    the head knows, or that have no value, are spread over the join of the rest by a salt.
    """
    vocabulary = features.where((F.col("field") == ids.name) & F.col("value").isNotNull()).select(
        F.col("value").alias(_value(ids)), F.col("id").alias(_id(ids))
    )
    if ids.size <= BROADCAST_VALUES:
        return rows.join(F.broadcast(vocabulary), _value(ids), "left")
    last_of_head = ids.ranges[0].first + BROADCAST_VALUES - 1
    head = vocabulary.where(F.col(_id(ids)) <= last_of_head)
    rest = vocabulary.where(F.col(_id(ids)) > last_of_head).withColumnsRenamed(
        {_value(ids): "_rest", _id(ids): "_late"}
    )
    rows = rows.join(F.broadcast(head), _value(ids), "left")
    salt = F.concat(F.lit("\u0000"), F.pmod(F.xxhash64(*rows.columns[:_SALTED_BY]), F.lit(_SALTS)).cast("string"))
    is_searched = F.col(_id(ids)).isNull() & F.col(_value(ids)).isNotNull()
    rows = rows.withColumn("_rest", F.when(is_searched, F.col(_value(ids))).otherwise(salt)).join(rest, "_rest", "left")
    return rows.withColumn(_id(ids), F.coalesce(_id(ids), "_late")).drop("_late", "_rest")
