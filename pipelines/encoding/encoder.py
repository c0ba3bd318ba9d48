"""Encoding events with a feature map."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap, FieldIds, Hashed, Numeric, Tags, has_vocabulary
from afm_core.features.feature_map import COUNTS_FILE, FEATURES_FILE, PAIRS_FILE, RATES_FILE
from pipelines.contract_checks import check_frame
from pipelines.contracts import COUNT_TABLE, RATE_TABLE
from pipelines.encoding.co_occurrence import with_co_occurrences
from pipelines.encoding.derived import Counted, nothing_counted, with_counts, with_crossed
from pipelines.encoding.large_vocabularies import BROADCAST_VALUES, joined, value_column
from pipelines.encoding.numbers import number_id, scaled
from pipelines.encoding.target_rates import with_rates
from pipelines.encoding.values import text_value
from pipelines.encoding.vocabulary import held_in_workers
from pipelines.encoding.worker_look_up import looked_up, tags_column
from pipelines.logs.columns import OURS, column
from pipelines.logs.values import tag_values
from pipelines.spark import literal


@dataclass(frozen=True)
class Encoding:
    """A feature map with its tables, from a dataset or a bundle."""

    feature_map: FeatureMap
    folder: Path
    """Folder of its tables, which every executor can read."""

    @property
    def features(self) -> Path:
        """The feature table."""
        return self.folder / FEATURES_FILE

    @property
    def counts(self) -> Path:
        """Path of the count table, for frequency fields."""
        return self.folder / COUNTS_FILE

    @property
    def pairs(self) -> Path:
        """Path of the pair table, for co-occurrence fields."""
        return self.folder / PAIRS_FILE

    @property
    def rates(self) -> Path:
        """Path of the rate table, for target rate fields."""
        return self.folder / RATES_FILE


def encode(logs: DataFrame, encoding: Encoding, keep: Sequence[str], as_text: Collection[str] = ()) -> DataFrame:
    """Encode all fields of a map, derived fields included, as scoring needs them."""
    encoded = with_crossed(encode_values(logs, encoding, keep, as_text), encoding.feature_map)
    counted = with_counted_fields(encoded, encoding, nothing_counted())
    return with_rates(counted, read_rates(counted, encoding), encoding.feature_map)


def with_counted_fields(rows: DataFrame, encoding: Encoding, own: Counted) -> DataFrame:
    """Add the fields that are counted in the training split: frequency and co-occurrence fields.

    Args:
        own: the rows that were counted and must not count themselves.
    """
    counted = with_counts(rows, read_counts(rows, encoding), encoding.feature_map, own)
    return with_co_occurrences(counted, encoding.pairs, encoding.feature_map, own.positives)


def encode_values(logs: DataFrame, encoding: Encoding, keep: Sequence[str], as_text: Collection[str] = ()) -> DataFrame:
    """The ids (int32, never null) and x_i of every field that reads the logs, and the columns to keep.

    A missing or unseen value gets the field's unknown id, so that no later stage sees a null. Cost: one pass through
    Python for all vocabularies that workers hold, a shuffle of the rows for each larger one. The plan grows with the
    number of fields, not with its square: one projection reads them all, and one pass looks them up.

    Args:
        logs: events with a text column for each source of the map's fields.
        keep: columns of `logs` that stay; none has the name of a column that is added.
        as_text: fields of `looked_up_in_workers` that stay the text of their value, for the workers to look up.
    """
    feature_map = encoding.feature_map
    fields = [ids for ids in feature_map.fields if ids.declared.sources]
    held = held_in_workers(feature_map)
    # All values in one projection: the id of a field may have the name of a column that another field reads, too. They
    # are named in a second one: within a lambda, Spark takes a name for an alias of the same projection.
    in_python = {*held, *as_text}
    computed = {name: value for ids in fields for name, value in _computed(ids, ids.name in in_python).items()}
    kept = [column(name) for name in keep]
    rows = logs.select(*kept, *[value.alias(f"{OURS}of {name}") for name, value in computed.items()])
    rows = rows.select(*kept, *[column(f"{OURS}of {name}").alias(name) for name in computed])
    in_workers = [ids for ids in fields if ids.name in held and ids.name not in as_text]
    rows = looked_up(rows, in_workers, encoding.features, feature_map.fingerprint)
    large = [ids for ids in fields if has_vocabulary(ids.declared) and ids.name not in in_python]
    rows = joined(rows, large, encoding.features)
    encoded = [name for ids in fields for name in (*ids.id_columns, *([ids.x_column] if ids.x_column else []))]
    return rows.select(*map(column, [*keep, *encoded]))


def read_counts(rows: DataFrame, encoding: Encoding) -> DataFrame | None:
    """Contract `COUNT_TABLE`, None for a map without frequency fields."""
    if not encoding.feature_map.frequencies:
        return None
    return check_frame(rows.sparkSession.read.parquet(literal(encoding.counts)), COUNT_TABLE)


def read_rates(rows: DataFrame, encoding: Encoding) -> DataFrame | None:
    """Contract `RATE_TABLE`, None for a map without target rate fields."""
    if not encoding.feature_map.target_rates:
        return None
    return check_frame(rows.sparkSession.read.parquet(literal(encoding.rates)), RATE_TABLE)


def how_encoded(feature_map: FeatureMap) -> list[tuple[str, str]]:
    """For each field how it is encoded, and why, as text."""
    held = held_in_workers(feature_map)
    return [_how_encoded(ids, ids.name in held) for ids in feature_map.fields]


def _how_encoded(ids: FieldIds, is_held: bool) -> tuple[str, str]:
    kind = ids.declared.kind
    if not has_vocabulary(ids.declared):
        return "expression", f"{kind}: ids are determined by the declaration"
    if is_held:
        return "look-up in Python workers", f"{ids.size:,} values, which each of them holds"
    if ids.size <= BROADCAST_VALUES:
        return "broadcast join", f"{ids.size:,} values, at most {BROADCAST_VALUES:,}"
    rest = ids.size - BROADCAST_VALUES
    return "broadcast of frequent values, join of the rest", f"{ids.size:,} values: the {rest:,} rarest are not skewed"


def _computed(ids: FieldIds, is_held: bool) -> dict[str, Column]:
    """What Spark computes of a field: its columns, or the value that is looked up for them."""
    match ids.declared:
        case Numeric():
            x = {ids.x_column: scaled(ids)} if ids.x_column else {}
            return {ids.name: number_id(ids), **x}
        case Hashed():
            known = F.lit(ids.ranges[0].first) + text_value(ids.declared).cast("int")
            return {ids.name: F.coalesce(known, F.lit(ids.unknown_id)).cast("int")}
        case Tags():
            return {tags_column(ids): tag_values(ids.declared)}
    return {ids.name if is_held else value_column(ids): text_value(ids.declared)}
