"""The tables of a feature map in Spark: one Parquet file each, the layout in the metadata of the feature table's file.

Outside Spark they are read with `afm_core.features.feature_table`.
"""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from pipelines.contract_checks import check_frame
from pipelines.contracts import COUNT_TABLE, FEATURE_TABLE, PAIR_TABLE, RATE_TABLE
from pipelines.encoding.fitting import FittedFeatureMap
from pipelines.parquet_files import write_sorted_table
from pipelines.spark import literal


def write_feature_table(fitted: FittedFeatureMap, path: Path) -> None:
    """Write contract `FEATURE_TABLE` with the layout of the map."""
    written = write_sorted_table(fitted.table, FEATURE_TABLE, path, fitted.feature_map.to_metadata())
    expected = fitted.feature_map.n_ids
    assert written == expected, f"{written} rows of the feature table written, {expected} ids fitted"


def write_count_table(counts: DataFrame, path: Path) -> int:
    """Write contract `COUNT_TABLE`; returns its number of rows."""
    return write_sorted_table(counts, COUNT_TABLE, path)


def write_pair_table(pairs: DataFrame, path: Path) -> int:
    """Write contract `PAIR_TABLE`; returns its number of rows."""
    return write_sorted_table(pairs, PAIR_TABLE, path)


def write_rate_table(rates: DataFrame, path: Path) -> int:
    """Write contract `RATE_TABLE`; returns its number of rows."""
    return write_sorted_table(rates, RATE_TABLE, path)


def scan_feature_table(spark: SparkSession, path: Path) -> DataFrame:
    """The feature table as Spark sees it: contract `FEATURE_TABLE`."""
    return check_frame(spark.read.parquet(literal(path)), FEATURE_TABLE)
