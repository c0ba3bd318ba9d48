"""The first half of a preparation: read and check the logs, fit the feature map, profile the fields."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from afm_core.errors import AfmError, DatasetError
from afm_core.features import FeatureMap
from afm_core.settings import Settings
from pipelines.console import messages
from pipelines.encoding.feature_table import scan_feature_table
from pipelines.encoding.fitting import FittedFeatureMap, MapToExtend, fit_feature_map
from pipelines.logs.checking import CheckedLogs, check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.values import label_value
from pipelines.preparation.field_profile import FieldProfile, check_missing_and_unknown, profile_fields
from pipelines.preparation.prepare_report import profile_table
from pipelines.spark import size_shuffles, url
from pipelines.spark_stages import Stages


@dataclass(frozen=True)
class FittedLogs:
    """Checked logs and the feature map fitted to them."""

    checked: CheckedLogs
    map: FittedFeatureMap
    profiles: list[FieldProfile]
    positives: int
    """Events with a positive label."""

    @property
    def added(self) -> int:
        """Features that were not in the extended map; all features if no map was extended."""
        return sum(facts.added for facts in self.map.facts.values())


def fit_logs(
    spark: SparkSession,
    settings: Settings,
    columns: LogColumns,
    stages: Stages,
    extend: Path | None,
    rejects: Path | None = None,
) -> FittedLogs:
    """Read and check the logs, fit the feature map, profile the fields.

    Args:
        extend: a feature table whose ids are kept.
        rejects: folder to write the rejected rows to; None does not write them.

    Raises:
        LogsError: the logs cannot be used, or a field exceeds one of its thresholds.
        DatasetError: the map cannot be extended.
    """
    with stages("read and check the logs") as report:
        raw = read_logs(spark, settings.logs, columns)
        checked = check_logs(raw, settings, columns, settings.logs.where)
        if rejects is not None:
            checked.rejects.write.parquet(url(rejects), compression="zstd")
        size_shuffles(spark, checked.rows_in)
        report(f"{checked.rows_in:,} rows, {checked.rows_in - checked.rows_accepted:,} rejected")
    with stages("fit the feature map") as report:
        extended = _map_to_extend(spark, settings, extend) if extend else None
        fitted = fit_feature_map(checked.accepted, settings.fields, checked.rows_accepted, extended)
        profiles = profile_fields(checked, fitted)
        positives = checked.rows_accepted
        if settings.label.column:
            positives = checked.accepted.where(label_value(settings.label) > 0).count()
        result = FittedLogs(checked, fitted, profiles, positives)
        new = f", {result.added:,} of them new" if extend else ""
        report(f"{fitted.feature_map.n_features:,} features{new}")
    messages.print(profile_table(profiles))
    check_missing_and_unknown(profiles, fitted, settings.logs.where)
    return result


def _map_to_extend(spark: SparkSession, settings: Settings, features: Path) -> MapToExtend:
    try:
        old = FeatureMap.read(features)
    except AfmError as error:
        raise DatasetError(str(error)) from error
    declared = [(field.name, field.kind) for field in settings.fields]
    if [(ids.name, ids.declared.kind) for ids in old.fields] == declared:
        return MapToExtend(old, scan_feature_table(spark, features))
    fields = ", ".join(f"{ids.name} ({ids.declared.kind})" for ids in old.fields)
    raise DatasetError(f"{features}: cannot be extended: it has the fields {fields}; the settings must have the same")
