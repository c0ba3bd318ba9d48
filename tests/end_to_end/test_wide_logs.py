"""Logs of hundreds of fields and of a thousand columns, with a heap of 2 GiB."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.benchmarks.wide_plans import REJECTED, Case, least, measure

pytestmark = pytest.mark.long


def test_300_fields_of_100_000_rows_are_prepared_trained_and_scored(spark: SparkSession, tmp_path: Path) -> None:
    assert spark.sparkContext.getConf().get("spark.driver.memory") == "2g"
    figures = measure(spark, Case(300, 300, 100_000), tmp_path / "wide")
    assert figures.prepare_cpu_seconds > 0


def test_rejected_rows_of_a_thousand_columns_cost_little(spark: SparkSession, tmp_path: Path) -> None:
    cases = [Case(1_000, 5, 20_000), Case(1_000, 5, 20_000, REJECTED)]
    runs = {case: [] for case in cases}
    for _ in range(3):
        for case in cases:
            runs[case].append(measure(spark, case, tmp_path / "wide"))
    clean, rejecting = (least(runs[case]) for case in cases)
    assert rejecting.prepare_cpu_seconds < 1.3 * clean.prepare_cpu_seconds
    assert rejecting.night_cpu_seconds < 1.3 * clean.night_cpu_seconds
