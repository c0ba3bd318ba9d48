"""Published nights are plain Hive-partitioned Parquet to the tools that people read them with."""

import shutil
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest
from pyspark.sql import SparkSession

from tests.support.jobs import run_main
from tests.support.nights import sorted_scores
from tests.support.small import Small

NIGHTS = ("2026-01-03", "2026-01-04")


@pytest.fixture(scope="module")
def scores(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights, the last of which was published twice, so that there is a version that nobody may read."""
    folder = tmp_path_factory.mktemp("readers")
    config = small.scoring_config(folder)
    run_main("score", config, "--from", NIGHTS[0], "--to", NIGHTS[1])
    run_main("score", config, "--date", NIGHTS[1])
    return folder / "scores"


@pytest.fixture(scope="module")
def expected(scores: Path) -> dict[str, int]:
    return {night: len(sorted_scores(scores / f"dt={night}")) for night in NIGHTS}


def test_spark(scores: Path, expected: dict[str, int], spark: SparkSession) -> None:
    rows = spark.read.parquet(str(scores)).groupBy("dt").count().collect()
    assert {str(row["dt"]): row["count"] for row in rows} == expected
    (one,) = spark.read.parquet(str(scores)).where("dt = '2026-01-04'").selectExpr("count(*) n").collect()
    assert one["n"] == expected["2026-01-04"]


def test_pyarrow(scores: Path, expected: dict[str, int]) -> None:
    table = ds.dataset(scores, format="parquet", partitioning="hive").to_table()
    counts = table.group_by("dt").aggregate([([], "count_all")]).to_pydict()
    assert dict(zip(map(str, counts["dt"]), counts["count_all"], strict=True)) == expected


def test_pandas(scores: Path, expected: dict[str, int]) -> None:
    counts = pd.read_parquet(scores)["dt"].astype(str).value_counts()
    assert {night: int(counts[night]) for night in NIGHTS} == expected
    assert len(counts) == len(NIGHTS)


def test_polars(scores: Path, expected: dict[str, int]) -> None:
    rows = pl.scan_parquet(scores / "dt=*/*.parquet", hive_partitioning=True).collect()
    assert {str(night): count for night, count in rows["dt"].value_counts().iter_rows()} == expected


def test_duckdb(scores: Path, expected: dict[str, int]) -> None:
    query = f"SELECT dt, count(*) FROM read_parquet('{scores}/dt=*/*.parquet', hive_partitioning=true) GROUP BY dt"
    found = duckdb.sql(query).fetchall()
    assert {str(night): count for night, count in found} == expected


@pytest.mark.parametrize("follow", [False, True])
def test_a_copy_is_read_as_well(scores: Path, expected: dict[str, int], tmp_path: Path, follow: bool) -> None:
    """`cp -r` of both folders keeps the links, and `cp -rL` of the scores alone follows them."""
    copy = tmp_path / "scores"
    shutil.copytree(scores, copy, symlinks=not follow)
    if not follow:
        versions = scores.with_name("scores.versions")
        shutil.copytree(versions, copy.with_name(versions.name), symlinks=True)
    assert {night: len(sorted_scores(copy / f"dt={night}")) for night in NIGHTS} == expected
    assert len(pd.read_parquet(copy)) == sum(expected.values())
