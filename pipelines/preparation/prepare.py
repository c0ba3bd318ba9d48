"""The preparation from end to end: raw logs in, a published dataset out."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.errors import AfmError, DatasetError
from afm_core.features import FeatureMap
from afm_core.features.feature_map import FEATURES_FILE
from afm_core.settings import Settings, write_settings
from afm_core.storage.paths import is_local
from afm_core.storage.publishing import staged
from pipelines.console import Stages, messages
from pipelines.contracts import LABEL, WEIGHT, instances
from pipelines.dataset import MANIFEST_FILE, PROFILE_FILE, REJECTS_FOLDER, SETTINGS_FILE, Manifest, SplitManifest
from pipelines.encoding.co_occurrence import pair_up
from pipelines.encoding.derived import count_combinations, with_crossed
from pipelines.encoding.digest import digest
from pipelines.encoding.encoder import Encoding, encode_values, with_knowledge
from pipelines.encoding.feature_table import (
    read_feature_table,
    write_count_table,
    write_feature_table,
    write_pair_table,
)
from pipelines.encoding.fitting import FittedFeatureMap, MapToExtend, fit_feature_map
from pipelines.logs.checking import CheckedLogs, check_logs
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.logs.values import label_value, weight_value
from pipelines.preparation.dataset_files import write_splits
from pipelines.preparation.dataset_freshness import made_from
from pipelines.preparation.field_profile import (
    FieldProfile,
    profile_fields,
    stop_where_too_much_is_missing,
    write_profile,
)
from pipelines.preparation.negatives.candidates import write_candidates
from pipelines.preparation.negatives.expansion import with_negatives
from pipelines.preparation.prepare_report import profile_table
from pipelines.preparation.row_keys import parts_of_heavy_groups, with_content_hashes, with_row_keys
from pipelines.preparation.splits import (
    SPLIT,
    shuffle_key,
    split_number,
    units_in_several_splits,
    with_places,
    with_time,
)
from pipelines.spark import size_shuffles, url

_ORDER, _CANDIDATES = "_order", "_candidates"


def prepare(spark: SparkSession, settings: Settings, extend: Path | None = None) -> Manifest:
    """Check, fit, encode, draw negatives, split, shuffle, write and publish. Returns the manifest.

    The dataset is built beside `settings.dataset.path` and takes its place at the end; a failure changes nothing.

    Args:
        extend: a feature table whose ids stay; new ones are appended.

    Raises:
        LogsError: the logs cannot be used.
        DatasetError: the map to extend cannot be, or the dataset cannot be published there.
    """
    if not is_local(settings.dataset.path):
        raise DatasetError(
            f"{settings.dataset.path}: a dataset is published by renaming its folder, which an object store cannot do; "
            "prepare on a file system, then copy the folder there"
        )
    stages = Stages(spark)
    made = made_from(settings, extend)
    with staged(settings.dataset.path) as stage:
        fitted = fit(spark, settings, stages, extend, rejects=stage / REJECTS_FOLDER)
        with stages("write the feature map"):
            write_feature_table(fitted.fitted, stage / FEATURES_FILE)
            write_profile(fitted.profiles, stage / PROFILE_FILE)
        with stages("encode and draw negatives") as say:
            rows = _instances(spark, fitted.checked, settings, stage).persist()
            content = instances(fitted.fitted.feature_map, settings.label.weight is not None).names
            content_digest, n_instances = digest(rows.select(*content, SPLIT)), rows.count()
            say(f"{n_instances:,} instances")
            shared = units_in_several_splits(rows, settings.split)
            assert not shared, f"{shared} units of the split by {settings.split.by} are in several splits"
        with stages("shuffle and write") as say:
            splits = write_splits(rows, content, settings.rows_per_file, stage)
            say(f"{sum(split.files for split in splits.values()):,} files")
        shutil.rmtree(stage / _CANDIDATES, ignore_errors=True)
        manifest = _manifest(settings, fitted, splits, n_instances, shared, content_digest, extend)
        manifest = manifest.model_copy(update={"seconds": stages.seconds, "made_from": made})
        write_settings(settings, stage / SETTINGS_FILE)
        (stage / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    spark.catalog.clearCache()
    return manifest


@dataclass(frozen=True)
class FittedLogs:
    """Checked logs and the map fitted to them."""

    checked: CheckedLogs
    fitted: FittedFeatureMap
    profiles: list[FieldProfile]
    positives: int


def fit(
    spark: SparkSession, settings: Settings, stages: Stages, extend: Path | None, rejects: Path | None = None
) -> FittedLogs:
    """Read and check the logs, fit the feature map, profile the fields.

    Args:
        rejects: where to keep the rejected rows.

    Raises:
        LogsError: the logs cannot be used, or a field is over one of its thresholds.
    """
    with stages("read and check the logs") as say:
        raw = read_logs(spark, settings, labelled=True)
        checked = check_logs(raw, settings, settings.logs.path, labelled=True)
        if rejects is not None:
            checked.rejects.write.parquet(url(rejects), compression="zstd")
        size_shuffles(spark, checked.rows_in)
        say(f"{checked.rows_in:,} rows, {checked.rows_in - checked.rows_accepted:,} rejected")
    with stages("fit the feature map") as say:
        old = _old_map(spark, settings, extend) if extend else None
        fitted = fit_feature_map(checked.accepted, settings.fields, checked.rows_accepted, old)
        profiles = profile_fields(checked, fitted)
        positives = checked.rows_accepted
        if settings.label.column:
            positives = checked.accepted.where(label_value(settings.label) > 0).count()
        new = f", {sum(facts.added for facts in fitted.facts.values()):,} of them new" if extend else ""
        say(f"{fitted.feature_map.n_features:,} features{new}")
    messages.print(profile_table(profiles))
    stop_where_too_much_is_missing(profiles, fitted, settings.logs.path)
    return FittedLogs(checked, fitted, profiles, positives)


def _old_map(spark: SparkSession, settings: Settings, features: Path) -> MapToExtend:
    try:
        old = FeatureMap.read(features)
    except AfmError as error:
        raise DatasetError(str(error)) from error
    for ids, declared in zip(old.fields, settings.fields, strict=False):
        if (ids.name, ids.declared.kind) != (declared.name, declared.kind):
            break
    else:
        if len(old.fields) == len(settings.fields):
            return MapToExtend(old, read_feature_table(spark, features))
    found = ", ".join(f"{ids.name} ({ids.declared.kind})" for ids in old.fields)
    raise DatasetError(f"{features}: cannot be extended: it has the fields {found}; the settings must have the same")


def _instances(spark: SparkSession, checked: CheckedLogs, settings: Settings, stage: Path) -> DataFrame:
    """Contract `instances`, plus the split and the place in it."""
    feature_map = FeatureMap.read(stage / FEATURES_FILE)
    encoding = Encoding(feature_map, stage)
    seen_by = [settings.field(name) for name in settings.seen_by]
    hashed = with_content_hashes(checked.accepted, wanted_columns(settings, labelled=True), seen_by)
    labelled = with_time(hashed, settings.split).withColumns(
        {LABEL: label_value(settings.label), WEIGHT: weight_value(settings.label)}
    )
    encoded = encode_values(labelled, encoding)
    raw = [
        name for name in wanted_columns(settings, labelled=True) if name not in (*feature_map.id_columns, LABEL, WEIGHT)
    ]
    encoded = encoded.drop(*raw)
    draws = settings.per_positive > 0
    replaced = settings.negatives.replace if draws else ()
    keyed = with_row_keys(encoded, parts_of_heavy_groups(hashed) if draws else {}, replaced)
    candidates = None
    if draws:
        features = read_feature_table(spark, stage / FEATURES_FILE)
        candidates = write_candidates(encoded, features, feature_map, settings.negatives, stage / _CANDIDATES)
    rows = with_negatives(keyed, candidates, settings.negatives, settings.per_positive, settings.seed)
    if settings.split.by in ("time", "leave_one_out"):
        rows = with_places(rows.persist(), settings.split, settings.seed)
    rows = rows.withColumn(SPLIT, split_number(settings.split, settings.seed))
    rows = _derive(with_crossed(rows, feature_map), encoding)
    return rows.withColumn(_ORDER, shuffle_key(settings.split, settings.seed))


def _derive(rows: DataFrame, encoding: Encoding) -> DataFrame:
    """Count what count and affinity fields know, and look it up."""
    feature_map = encoding.feature_map
    if not feature_map.counted and not feature_map.co_occurrences:
        return rows
    rows = rows.persist()
    is_counted = (F.col(LABEL) > 0) & (F.col(SPLIT) == 0)
    if feature_map.counted:
        write_count_table(count_combinations(rows.where(is_counted), feature_map), encoding.counts)
    if feature_map.co_occurrences:
        write_pair_table(pair_up(rows.where(is_counted), feature_map), encoding.pairs)
    return with_knowledge(rows, encoding, is_counted.cast("int"))


def _manifest(
    settings: Settings,
    fitted: FittedLogs,
    splits: dict[str, SplitManifest],
    n_instances: int,
    shared: int,
    content_digest: str,
    extend: Path | None,
) -> Manifest:
    checked, feature_map = fitted.checked, fitted.fitted.feature_map
    written = sum(split.rows for split in splits.values())
    assert n_instances == written, f"{n_instances} instances, {written} written: rows were lost or doubled"
    return Manifest(
        name=settings.name,
        seed=settings.seed,
        feature_map=feature_map.fingerprint,
        fields=feature_map.describe(),
        features=feature_map.n_features,
        features_added=sum(facts.added for facts in fitted.fitted.facts.values()) if extend else None,
        extends=FeatureMap.read(extend).fingerprint if extend else None,
        rows_in=checked.rows_in,
        rejected=checked.rejected,
        positives=fitted.positives,
        negatives_asked=fitted.positives * settings.per_positive,
        negatives_found=n_instances - checked.rows_accepted,
        weighted=settings.label.weight is not None,
        instances=n_instances,
        rows_per_file=settings.rows_per_file,
        split_by=settings.split.by,
        units_in_several_splits=shared,
        splits=splits,
        digest=content_digest,
        seconds={},
    )
