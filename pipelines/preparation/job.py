"""The preparation from end to end: raw logs in, a published dataset out."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from afm_core.features import FeatureMap
from afm_core.publish import staged
from afm_core.settings import Settings, write_settings
from pipelines.console import Stages
from pipelines.dataset import FEATURES, MANIFEST, REJECTS, SETTINGS, Manifest
from pipelines.encoding.digest import digest
from pipelines.encoding.encoder import encode
from pipelines.encoding.feature_table import read_feature_table, write_feature_table
from pipelines.encoding.fitting import fit_feature_map
from pipelines.logs.checking import CheckedLogs, check_logs
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.preparation.files import write_splits
from pipelines.preparation.negatives import POSITIVE_KEY, with_negatives
from pipelines.preparation.row_keys import with_content_hashes, with_row_keys
from pipelines.preparation.splitting import SPLIT, shuffle_key, split_number, units_in_several_splits


def prepare(spark: SparkSession, settings: Settings) -> Manifest:
    """Check, fit, encode, draw negatives, split, shuffle, write and publish. Returns the manifest.

    The dataset is built beside `settings.dataset.path` and takes its place at the end; a failure changes nothing.

    Raises:
        LogsError: the logs cannot be used.
    """
    stages = Stages(spark)
    with staged(settings.dataset.path) as stage:
        with stages("read and check the logs") as say:
            checked = check_logs(read_logs(spark, settings), settings, settings.logs.path)
            checked.rejects.write.parquet(str(stage / REJECTS), compression="zstd")
            say(f"{checked.rows_in:,} rows, {checked.rows_in - checked.rows_accepted:,} rejected")
        with stages("fit the feature map") as say:
            fitted = fit_feature_map(checked.accepted, settings.fields, checked.rows_accepted)
            write_feature_table(fitted, stage / FEATURES)
            say(f"{fitted.feature_map.n_features:,} features")
        with stages("encode and draw negatives") as say:
            rows = _instances(spark, checked, settings, stage / FEATURES).persist()
            content_digest, instances = digest(rows.drop("_order", POSITIVE_KEY)), rows.count()
            say(f"{instances:,} instances")
            shared = units_in_several_splits(rows, settings.split)
            assert not shared, f"{shared} values of {settings.split.by} are in several splits"
        with stages("shuffle and write") as say:
            splits = write_splits(rows, settings.field_names, settings.dataset.rows_per_file, stage)
            say(f"{sum(split.files for split in splits.values()):,} files")
        assert instances == sum(split.rows for split in splits.values()), "rows were lost or doubled while writing"
        manifest = Manifest(
            name=settings.name,
            seed=settings.seed,
            feature_map=fitted.feature_map.fingerprint,
            fields=fitted.feature_map.describe(),
            features=fitted.feature_map.n_features,
            rows_in=checked.rows_in,
            rejected=checked.rejected,
            positives=checked.rows_accepted,
            negatives_asked=checked.rows_accepted * settings.negatives.per_positive,
            negatives_found=instances - checked.rows_accepted,
            instances=instances,
            rows_per_file=settings.dataset.rows_per_file,
            split_by=settings.split.by,
            units_in_several_splits=shared,
            splits=splits,
            digest=content_digest,
            seconds=stages.seconds,
        )
        write_settings(settings, stage / SETTINGS)
        (stage / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    spark.catalog.clearCache()
    return manifest


def _instances(spark: SparkSession, checked: CheckedLogs, settings: Settings, features: Path) -> DataFrame:
    """Contract `instances`, plus the split and the place in it."""
    feature_map = FeatureMap.read(features)
    group_by = [field for field in settings.fields if field.name in settings.negatives.never_seen_by]
    hashed = with_content_hashes(checked.accepted, wanted_columns(settings), group_by)
    encoded = encode(hashed, read_feature_table(spark, features), feature_map)
    rows = with_negatives(with_row_keys(encoded), feature_map, settings.negatives, settings.seed)
    return rows.withColumn(SPLIT, split_number(settings.split, settings.seed)).withColumn(
        "_order", shuffle_key(settings.seed)
    )
