"""The preparation from end to end: raw logs in, a published dataset out."""

import json
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from afm_core.features import FeatureMap
from afm_core.features.feature_map import FEATURES_FILE
from afm_core.settings import Settings, write_settings
from afm_core.storage.atomic import write_text
from afm_core.storage.checksum import text_sha256
from afm_core.storage.opening import open_version
from afm_core.storage.provenance import Provenance
from afm_core.storage.publishing import place_of, remove_folder, staged_for_all
from pipelines.dataset import CHECKSUMS_FILE, MANIFEST_FILE, PROFILE_FILE, REJECTS_FOLDER, SETTINGS_FILE, Manifest
from pipelines.encoding.digest import digest
from pipelines.encoding.feature_table import write_feature_table
from pipelines.logs.inputs import Inputs
from pipelines.logs.log_columns import LogColumns
from pipelines.preparation.build_instances import CANDIDATES_FOLDER, build_instances, instance_contract
from pipelines.preparation.dataset_files import write_splits
from pipelines.preparation.dataset_freshness import dataset_provenance
from pipelines.preparation.field_profile import write_profile
from pipelines.preparation.fit_logs import FittedLogs, fit_logs
from pipelines.preparation.split_checks import require_every_split
from pipelines.preparation.splits import SPLIT, units_in_several_splits
from pipelines.spark_stages import Stages

DATASET_CONTENT = (MANIFEST_FILE, FEATURES_FILE)
"""Files by which a folder is recognised as a dataset."""


def prepare(spark: SparkSession, settings: Settings, extend: Path | None = None) -> Manifest:
    """Check, fit, encode, draw negatives, split, shuffle, write and publish. Returns the manifest.

    The dataset is published at `settings.dataset.path` when it is complete; a failure changes nothing.

    Args:
        extend: a feature table whose ids are kept; new values get the ids after them.

    Raises:
        LogsError: the logs cannot be used.
        ReplacedLogsError: files of the logs or of a joined table were written meanwhile.
        DatasetError: the map cannot be extended, or the dataset cannot be published at its path.
        ForeignFolderError: that path holds something else.
    """
    stages, columns = Stages(spark), LogColumns.of(settings, labelled=True)
    extended = open_version(extend.parent) if extend else None
    extend = extended.path / extend.name if extend and extended else None
    inputs = Inputs.of(settings.logs, lambda: spark)
    provenance = dataset_provenance(settings, inputs, extend)
    with staged_for_all(place_of(settings.dataset.path), DATASET_CONTENT) as stage:
        fitted = fit_logs(spark, settings, columns, stages, extend, rejects=stage / REJECTS_FOLDER)
        with stages("write the feature map"):
            write_feature_table(fitted.map, stage / FEATURES_FILE)
            write_profile(fitted.profiles, stage / PROFILE_FILE)
        manifest = _write_instances(fitted, settings, columns, stages, stage, extend, provenance)
        inputs.require_unchanged()
        write_settings(settings, stage / SETTINGS_FILE)
        write_text(stage / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")
    spark.catalog.clearCache()
    return manifest


def _write_instances(
    fitted: FittedLogs,
    settings: Settings,
    columns: LogColumns,
    stages: Stages,
    stage: Path,
    extend: Path | None,
    provenance: Provenance | None,
) -> Manifest:
    with stages("encode and draw negatives") as report:
        rows = build_instances(fitted.checked, settings, columns, stage).persist()
        content = instance_contract(fitted.map.feature_map, settings).names
        content_digest, n_instances = digest(rows.select(*content, SPLIT)), rows.count()
        report(f"{n_instances:,} instances")
        shared = units_in_several_splits(rows, settings.split)
        assert not shared, f"{shared} units of the split by {settings.split.by} are in several splits"
    with stages("shuffle and write") as report:
        written = write_splits(rows, content, settings.rows_per_file, stage)
        require_every_split(
            {name: split.rows for name, split in written.manifests.items()}, settings, fitted.checked.accepted
        )
        splits, checksums = written.manifests, json.dumps(written.checksums, indent=1) + "\n"
        write_text(stage / CHECKSUMS_FILE, checksums)
        report(f"{sum(split.files for split in splits.values()):,} files")
    remove_folder(stage / CANDIDATES_FOLDER)
    n_written = sum(split.rows for split in splits.values())
    assert n_instances == n_written, f"{n_instances} instances, {n_written} written: rows were lost or duplicated"
    return Manifest(
        **_facts_of_logs(settings, fitted, extend),
        negatives_found=n_instances - fitted.checked.rows_accepted,
        instances=n_instances,
        units_in_several_splits=shared,
        splits=splits,
        digest=content_digest,
        checksums=text_sha256(checksums),
        made_from=provenance,
        seconds=stages.seconds,
    )


def _facts_of_logs(settings: Settings, fitted: FittedLogs, extend: Path | None) -> dict[str, Any]:
    """The manifest's keys about the logs, the feature map and the settings."""
    checked, feature_map = fitted.checked, fitted.map.feature_map
    return {
        "name": settings.name,
        "seed": settings.seed,
        "feature_map": feature_map.fingerprint,
        "fields": feature_map.describe(),
        "features": feature_map.n_features,
        "features_added": fitted.added if extend else None,
        "extends": FeatureMap.read(extend).fingerprint if extend else None,
        "rows_in": checked.rows_in,
        "rejected": checked.rejected,
        "positives": fitted.positives,
        "negatives_asked": fitted.positives * settings.per_positive,
        "weighted": settings.label.weight is not None,
        "rows_per_file": settings.rows_per_file,
        "split_by": settings.split.by,
    }
