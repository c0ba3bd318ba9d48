"""The second half of a preparation: from checked events to labelled, encoded, split instances with their negatives."""

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap
from afm_core.features.feature_map import FEATURES_FILE
from afm_core.settings import Settings
from pipelines.contract_checks import Contract, check_frame
from pipelines.contracts import LABEL, WEIGHT, instances
from pipelines.encoding.co_occurrence import count_pairs
from pipelines.encoding.derived import Counted, count_combinations, with_crossed
from pipelines.encoding.encoder import Encoding, encode_values, with_counted_fields
from pipelines.encoding.feature_table import scan_feature_table, write_count_table, write_pair_table, write_rate_table
from pipelines.encoding.target_rates import count_outcomes, with_cross_fitted_rates
from pipelines.logs.checking import CheckedLogs
from pipelines.logs.columns import OURS
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.values import label_value, weight_value
from pipelines.preparation.negatives.attributes import attributes_of_candidates
from pipelines.preparation.negatives.candidates import write_candidates
from pipelines.preparation.negatives.expansion import with_negatives
from pipelines.preparation.row_keys import parts_of_heavy_groups, with_content_hashes, with_row_keys
from pipelines.preparation.splits import SPLIT, SPLIT_COLUMNS, with_basis, with_split

CANDIDATES_FOLDER = "_candidates"
"""Folder of the negative candidates while a dataset is being built."""


def instance_contract(feature_map: FeatureMap, settings: Settings) -> Contract:
    """The instances of a dataset with these settings."""
    return instances(feature_map, settings.label.weight is not None)


def build_instances(checked: CheckedLogs, settings: Settings, columns: LogColumns, stage: Path) -> DataFrame:
    """Contract `instances` with `SPLIT_COLUMNS`: the split of each instance and its position in it.

    Args:
        columns: the columns of the checked events.
        stage: folder of the dataset, which holds the feature table and receives the tables of counted fields.
    """
    feature_map = FeatureMap.read(stage / FEATURES_FILE)
    encoding = Encoding(feature_map, stage)
    seen_by = [settings.field(name) for name in settings.seen_by]
    hashed = with_content_hashes(checked.accepted, columns, seen_by)
    encoded = _encode(hashed, settings, columns, encoding)
    draws_negatives = settings.per_positive > 0
    replaced = settings.negatives.replace if draws_negatives else ()
    keyed = with_row_keys(encoded, parts_of_heavy_groups(hashed) if draws_negatives else {}, replaced)
    candidates = None
    if draws_negatives:
        features = scan_feature_table(encoded.sparkSession, encoding.features)
        folder = stage / CANDIDATES_FOLDER
        attributes = attributes_of_candidates(features, settings, columns, encoding)
        candidates = write_candidates(encoded, features, feature_map, settings.negatives, folder, attributes)
    rows = with_negatives(keyed, candidates, settings.negatives, settings.per_positive, settings.seed)
    rows = with_split(rows, settings.split, settings.seed)
    rows = _add_derived_fields(with_crossed(rows, feature_map), encoding, settings.seed)
    contract = instance_contract(feature_map, settings)
    return check_frame(rows, contract.with_columns("instances with their split", *SPLIT_COLUMNS))


def _encode(hashed: DataFrame, settings: Settings, columns: LogColumns, encoding: Encoding) -> DataFrame:
    """Encoded fields, label and weight in place of the columns of the logs."""
    labels = {LABEL: label_value(settings.label), WEIGHT: weight_value(settings.label)}
    # Under names of ours until the fields have read the logs, whose columns may be called label and weight.
    labelled = with_basis(hashed, settings.split).withColumns(
        {f"{OURS}{name}": value for name, value in labels.items()}
    )
    kept = [name for name in labelled.columns if name not in columns.names]
    return encode_values(labelled, encoding, kept).withColumnsRenamed({f"{OURS}{name}": name for name in labels})


def _add_derived_fields(rows: DataFrame, encoding: Encoding, seed: int) -> DataFrame:
    """Count in the training split what derived fields need to know, and add these fields."""
    feature_map = encoding.feature_map
    if not (feature_map.frequencies or feature_map.co_occurrences or feature_map.target_rates):
        return rows
    rows = rows.persist()
    in_train = F.col(SPLIT) == 0
    is_counted = (F.col(LABEL) > 0) & in_train
    own = Counted(positives=is_counted.cast("int"), all=in_train.cast("int"))
    if feature_map.frequencies:
        write_count_table(count_combinations(rows.where(in_train), feature_map, own), encoding.counts)
    if feature_map.co_occurrences:
        write_pair_table(count_pairs(rows.where(is_counted), feature_map), encoding.pairs)
    rows = with_counted_fields(rows, encoding, own)
    if not feature_map.target_rates:
        return rows
    outcomes = count_outcomes(rows.where(in_train), feature_map, seed)
    write_rate_table(outcomes.rates, encoding.rates)
    return with_cross_fitted_rates(rows, outcomes, feature_map, in_train)
